//! `trust.toml`: whom the host obeys. Written by `rescind-agent enrol`, public, root's.

use std::path::{Path, PathBuf};

use rescind_protocol::name::{Digest, HostId, HostName, UnixMillis};
use rescind_protocol::sign::VerifyingKey;
use serde::{Deserialize, Serialize};

use super::agent_toml::in_print;
use super::layout;
use super::own_file::{FileError, Owner, make_dir, read_own, replace};
use super::server::ServerAddress;

/// The most servers a host knows.
pub const SERVERS_MAX: usize = 16;
/// The most order keys a host pins.
pub const ORDER_KEYS_MAX: usize = 16;

/// Whom the host obeys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Trust {
    /// What the control plane calls this host.
    pub host_id: HostId,
    /// Where the control plane is; at least one.
    pub servers: Vec<ServerAddress>,
    /// The name in the control plane's certificate.
    pub server_name: HostName,
    /// The Ed25519 keys whose orders are obeyed (base64); at least one.
    pub order_keys: Vec<VerifyingKey>,
    /// SHA-256 of the CA certificate (DER) that was pinned at enrolment.
    pub ca_sha256: Digest,
    /// When the host was enrolled, in milliseconds since 1970.
    pub enrolled_at_ms: UnixMillis,
}

/// Why there is no [`Trust`].
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be read or written, or others could have written it.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not what `enrol` writes.
    #[error("{}: {}; enrol this host again", path.display(), in_print(source))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        source: Box<toml::de::Error>,
    },
    /// A list is empty or too long.
    #[error("{}: {what}: want 1 to {max}; enrol this host again", path.display())]
    Count {
        /// The file.
        path: PathBuf,
        /// Which list.
        what: &'static str,
        /// Its longest.
        max: usize,
    },
}

impl Trust {
    /// Reads `trust.toml` beneath a root directory; `None` when the host is not enrolled.
    pub fn load(root: &Path) -> Result<Option<Self>, TrustError> {
        let path = layout::trust_toml(root);
        match read_own(&path, Owner::of(root)?)? {
            Some(text) => Self::parse(&path, &text).map(Some),
            None => Ok(None),
        }
    }

    /// Writes `trust.toml` beneath a root directory, in one step.
    pub fn store(&self, root: &Path) -> Result<(), TrustError> {
        make_dir(&layout::etc_dir(root), 0o755)?;
        replace(
            &layout::trust_toml(root),
            self.to_text().as_bytes(),
            0o644,
            None,
        )?;
        Ok(())
    }

    fn to_text(&self) -> String {
        // Strings, integers and lists of strings only: nothing TOML cannot write.
        let body = toml::to_string(self).expect("a flat table can be written as TOML");
        format!(
            "# Whom this host obeys. Written by `rescind-agent enrol` at {}.\n\
             # Orders are accepted when one of these keys signed them, whoever carried them here.\n\n\
             {body}",
            self.enrolled_at_ms
        )
    }

    fn parse(path: &Path, text: &str) -> Result<Self, TrustError> {
        let trust: Self = toml::from_str(text).map_err(|source| TrustError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        for (what, count, max) in [
            ("servers", trust.servers.len(), SERVERS_MAX),
            ("order-keys", trust.order_keys.len(), ORDER_KEYS_MAX),
        ] {
            if !(1..=max).contains(&count) {
                return Err(TrustError::Count {
                    path: path.to_owned(),
                    what,
                    max,
                });
            }
        }
        Ok(trust)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust() -> Trust {
        Trust {
            host_id: HostId::from_bytes([7; 16]),
            servers: vec!["control.example.com".parse().unwrap()],
            server_name: "rescind".parse().unwrap(),
            order_keys: vec![VerifyingKey::from_bytes([1; 32])],
            ca_sha256: Digest::of(b"ca"),
            enrolled_at_ms: UnixMillis(1_795_423_384_123),
        }
    }

    #[test]
    fn it_is_written_like_this_and_reads_back() {
        let text = trust().to_text();
        assert_eq!(
            text,
            "\
# Whom this host obeys. Written by `rescind-agent enrol` at 2026-11-23T08:43:04.123Z.
# Orders are accepted when one of these keys signed them, whoever carried them here.

host-id = \"07070707-0707-0707-0707-070707070707\"
servers = [\"control.example.com:7443\"]
server-name = \"rescind\"
order-keys = [\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\"]
ca-sha256 = \"6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126\"
enrolled-at-ms = 1795423384123
"
        );
        assert_eq!(Trust::parse(Path::new("t"), &text).unwrap(), trust());
    }

    #[test]
    fn a_file_that_trusts_nobody_is_an_error() {
        let mut nobody = trust();
        nobody.order_keys.clear();
        let error = Trust::parse(Path::new("t"), &nobody.to_text()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "t: order-keys: want 1 to 16; enrol this host again"
        );
        let more = format!("{}everybody = true\n", trust().to_text());
        assert!(Trust::parse(Path::new("t"), &more).is_err());
    }

    #[test]
    fn no_file_means_not_enrolled_and_a_stored_one_is_found() {
        let root = std::env::temp_dir().join(format!("rescind-trust-{}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        assert_eq!(Trust::load(&root).unwrap(), None);
        trust().store(&root).unwrap();
        assert_eq!(Trust::load(&root).unwrap(), Some(trust()));
        std::fs::remove_dir_all(&root).unwrap();
    }
}
