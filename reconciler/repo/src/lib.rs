//! Reads commits, watches and mirrors repositories, writes records.
