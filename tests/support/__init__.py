"""What tests share: a clock to turn, a server in the process, clients of both protocols."""
