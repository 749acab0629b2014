//! The control plane and the operator's command line.
