"""Malformed and hostile input, one written list per server: what each entry gets, and what nobody else notices."""
