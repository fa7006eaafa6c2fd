//! Real files, real processes, real kills.
