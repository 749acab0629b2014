//! Readers of the formats that credentials are kept in. They copy nothing, or into buffers that
//! are erased, and hand over every value with its place; what it means is for others to say.

/// Assignments as shells, dotenv files and systemd's environment files have them.
pub mod assign;
/// Base64, into a buffer that is erased.
pub mod base64;
/// ASN.1 in DER (X.690), as far as keys need it.
pub mod der;
/// Sections and keys: INI, git's and MySQL's variants of it, TOML.
pub mod ini;
/// JSON (RFC 8259).
pub mod json;
/// Textual encoding of keys (RFC 7468 and its forerunners).
pub mod pem;
/// systemd's unit files (systemd.syntax(7)).
pub mod unit;
/// XML, as far as settings files need it.
pub mod xml;
/// YAML, as far as the tools write it: block mappings and lists, plain and quoted values.
pub mod yaml;
