//! Where everything lies on a host, as functions of its root directory (`/`, or `--root DIR`).

use std::path::{Path, PathBuf};

macro_rules! paths {
    ($($(#[$doc:meta])* $name:ident = $path:literal,)*) => {
        $($(#[$doc])*
        pub fn $name(root: &Path) -> PathBuf {
            root.join($path)
        })*
    };
}

paths! {
    /// Configuration: 0755 root.
    etc_dir = "etc/rescind",
    /// The administrator's ceiling: 0644 root.
    agent_toml = "etc/rescind/agent.toml",
    /// Whom the host obeys, written by `enrol`: 0644 root.
    trust_toml = "etc/rescind/trust.toml",
    /// The root half's own: 0700 root.
    agent_dir = "var/lib/rescind-agent",
    /// The private key that signs the evidence chain: 0600 root.
    evidence_key = "var/lib/rescind-agent/evidence.key",
    /// The key under which secrets of this host have fingerprints: 0600 root.
    fingerprint_key = "var/lib/rescind-agent/fingerprint.key",
    /// The evidence chain's segments.
    journal_dir = "var/lib/rescind-agent/journal",
    /// The rebuildable index.
    index_dir = "var/lib/rescind-agent/index",
    /// Held by the one root half that is running.
    lock_file = "var/lib/rescind-agent/lock",
    /// The network half's own: 0700 rescind-link.
    link_dir = "var/lib/rescind-link",
    /// The link's private key and certificate, one file so that both change in one rename: 0600.
    identity_pem = "var/lib/rescind-link/identity.pem",
    /// The control plane's CA certificates: 0600 rescind-link.
    ca_pem = "var/lib/rescind-link/ca.pem",
    /// Sockets: 0755 root.
    run_dir = "run/rescind-agent",
    /// Where the root half waits for the link: 0660 root:rescind-link.
    link_sock = "run/rescind-agent/link.sock",
    /// Where the root half waits for the local command line: 0600 root.
    admin_sock = "run/rescind-agent/admin.sock",
    /// passwd(5) of the host.
    passwd = "etc/passwd",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_lies_beneath_the_root() {
        assert_eq!(
            agent_toml(Path::new("/")),
            Path::new("/etc/rescind/agent.toml")
        );
        assert_eq!(
            link_sock(Path::new("/srv/image")),
            Path::new("/srv/image/run/rescind-agent/link.sock")
        );
    }
}
