"""What to start next. Pure: plain data in, plain data out, no clock."""
