// A library whose products are those of one that it needs.
int fake_wrapper() { return 0; }
