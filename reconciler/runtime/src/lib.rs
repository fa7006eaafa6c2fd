//! The loop: wake, lease, load, observe, plan, judge, apply, record.
