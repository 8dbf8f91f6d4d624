/* The physical limit beside which the load generator's cost is stated: N WebSocket connections in one epoll loop, frames
 * counted by their headers and thrown away. No JSON, no checksum, no record.
 *
 *   cc -O2 -o epoll_reader epoll_reader.c && ./epoll_reader PORT CONNECTIONS TOPICS SECONDS
 *
 * prints {"messages": N, "cpu_us_per_message": X}; connection i listens to topic t(i mod TOPICS). */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 16];

struct stream {
    int fd;
    long skip;       /* bytes of the current frame still to come */
    unsigned char head[10];
    int have;        /* bytes of a header cut by a read */
};

/* Count the frames that begin in these bytes; a frame may span reads. */
static long frames(struct stream *s, const unsigned char *p, long n) {
    long count = 0;
    while (n > 0) {
        if (s->skip) {
            long step = s->skip < n ? s->skip : n;
            s->skip -= step; p += step; n -= step;
            continue;
        }
        s->head[s->have++] = *p++; n--;
        int code = s->have > 1 ? s->head[1] & 127 : 0;
        int need = s->have < 2 ? 2 : code == 126 ? 4 : code == 127 ? 10 : 2;
        if (s->have < need) continue;
        long length = code;
        if (need > 2) {
            length = 0;
            for (int i = 2; i < need; i++) length = length << 8 | s->head[i];
        }
        s->skip = length; s->have = 0; count++;
    }
    return count;
}

static int subscribe(int port, int topic) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0), got = 0;
    if (connect(fd, (void *)&to, sizeof to)) { perror("connect"); exit(1); }
    int n = snprintf(buffer, sizeof buffer,
        "GET /ws/t%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n", topic, port);
    if (write(fd, buffer, n) != n) { perror("write"); exit(1); }
    while (got < 4 || memcmp(buffer + got - 4, "\r\n\r\n", 4)) { /* byte by byte: nothing behind the head is read */
        if (read(fd, buffer + got, 1) != 1 || ++got == sizeof buffer) { fputs("no upgrade\n", stderr); exit(1); }
    }
    if (strncmp(buffer, "HTTP/1.1 101", 12)) { fprintf(stderr, "not upgraded: %.40s\n", buffer); exit(1); }
    return fd;
}

static double seconds(struct timeval a, struct timeval b) { return b.tv_sec - a.tv_sec + (b.tv_usec - a.tv_usec) / 1e6; }

int main(int argc, char **argv) {
    if (argc != 5) { fprintf(stderr, "usage: %s PORT CONNECTIONS TOPICS SECONDS\n", argv[0]); return 2; }
    int port = atoi(argv[1]), connections = atoi(argv[2]), topics = atoi(argv[3]), loop = epoll_create1(0);
    struct stream *streams = calloc(connections, sizeof *streams);
    for (int i = 0; i < connections; i++) {
        streams[i].fd = subscribe(port, i % topics);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &streams[i]};
        epoll_ctl(loop, EPOLL_CTL_ADD, streams[i].fd, &event);
    }
    struct rusage before, after;
    struct timespec start, now;
    long messages = 0;
    getrusage(RUSAGE_SELF, &before);
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        struct epoll_event ready[512];
        int n = epoll_wait(loop, ready, 512, 100);
        for (int i = 0; i < n; i++) {
            struct stream *s = ready[i].data.ptr;
            long size = recv(s->fd, buffer, sizeof buffer, 0);
            if (size <= 0) { fputs("connection lost\n", stderr); return 1; }
            messages += frames(s, (unsigned char *)buffer, size);
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - start.tv_sec + (now.tv_nsec - start.tv_nsec) / 1e9 < atof(argv[4]));
    getrusage(RUSAGE_SELF, &after);
    double cpu = seconds(before.ru_utime, after.ru_utime) + seconds(before.ru_stime, after.ru_stime);
    if (!messages) { fputs("no messages\n", stderr); return 1; }
    printf("{\"messages\": %ld, \"cpu_us_per_message\": %.3f}\n", messages, cpu / messages * 1e6);
    return 0;
}
