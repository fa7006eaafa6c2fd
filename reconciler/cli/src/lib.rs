//! The command line: one file per command, the terminal, the wiring.
