//! Whole hosts, in a small language: `Host`, `Account`, `Key`, `Login`, `Order`.
