//! Native providers, one file each.
