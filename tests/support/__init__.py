"""What the tests are made of: real servers, the real program, and the definition of "in order"."""
