"""What has to agree with theory on a quiet machine: timings, and so no part of the suite. Each is run by hand."""
