//! The file that `RevokedKeys` names: a list of keys or a KRL (PROTOCOL.krl).
