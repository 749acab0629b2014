//! A certificate that somebody holds (PROTOCOL.certkeys), as `cert_parse` of sshkey.c and `cert_option_list` of
//! auth-options.c take it apart.
//!
//! Whether the CA really signed it is not checked: it is asked what sshd would say to a certificate like this one.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

use super::algorithms;
use super::key_blob::{BlobKey, BlobProblem, decode_base64};
use super::key_options::ForcedCommand;
use super::pattern::{Network, NetworkParse};
use super::wire::Reader;

/// `SSHKEY_CERT_MAX_PRINCIPALS`
const PRINCIPALS_MAX: usize = 256;
/// `INET6_ADDRSTRLEN` and the length of a prefix behind it.
const ADDRESS_BYTES_MAX: usize = 46 + 3;

/// A certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The key that is certified.
    pub key: BlobKey,
    /// The CA's key.
    pub authority: BlobKey,
    /// By which algorithm the CA signed: `rsa-sha2-512`.
    pub signature: Vec<u8>,
    /// The CA's number for it; 0 where the CA gives none.
    pub serial: u64,
    /// The CA's name for it.
    pub key_id: Vec<u8>,
    /// Whether it is for users; else it is for hosts.
    pub is_for_users: bool,
    /// Whom it is for.
    pub principals: Vec<Vec<u8>>,
    /// When it is valid, in seconds since 1970-01-01T00:00:00Z.
    pub valid: Range<u64>,
    /// What it is good for, or why sshd refuses it.
    pub options: Result<CertificateOptions, BadCertificate>,
}

/// The critical options of a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateOptions {
    /// `force-command`
    pub forced_command: Option<ForcedCommand>,
    /// `source-address`
    pub source_address: Option<Vec<Network>>,
}

impl CertificateOptions {
    /// Whether a client with this address may use it.
    pub fn is_good_from(&self, address: IpAddr) -> bool {
        self.source_address
            .as_ref()
            .is_none_or(|networks| networks.iter().any(|network| network.contains(address)))
    }
}

/// Why sshd refuses a certificate whoever shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificate {
    /// The key in it is none, or the CA's is.
    #[error("{0}")]
    Key(BlobProblem),
    /// Cut short, or not what a certificate is.
    #[error("the certificate is damaged")]
    Damaged,
    /// The line holds something else.
    #[error("there is no certificate in this line")]
    NoCertificate,
    /// A critical option that no OpenSSH up to 10.0 knows.
    #[error("the certificate has a critical option that sshd does not know")]
    UnknownOption,
    /// An option stands twice, or says what it cannot.
    #[error("an option of the certificate is not what it should be")]
    BadOption,
}

/// Names of people are not for logs.
impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("key", &self.key.fingerprint.to_string())
            .field("authority", &self.authority.fingerprint.to_string())
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads the line of a `-cert.pub` file: a type, the certificate in base64, a comment.
    pub fn parse_line(line: &[u8]) -> Result<Self, BadCertificate> {
        let mut words = line
            .split(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
            .filter(|word| !word.is_empty());
        let (name, base64) = (words.next(), words.next());
        let known = name.and_then(algorithms::key_type_of_name);
        let (Some((_, true)), Some(base64)) = (known, base64) else {
            return Err(BadCertificate::NoCertificate);
        };
        Self::parse(&decode_base64(base64).map_err(BadCertificate::Key)?)
    }

    /// Decodes a certificate.
    pub fn parse(blob: &[u8]) -> Result<Self, BadCertificate> {
        let mut reader = Reader(blob);
        let key = BlobKey::read(&mut reader).map_err(BadCertificate::Key)?;
        if !key.certificate {
            return Err(BadCertificate::NoCertificate);
        }
        Self::read(key, &mut reader).ok_or(BadCertificate::Damaged)?
    }

    /// What follows the key; `None` where it is cut short.
    fn read(key: BlobKey, reader: &mut Reader<'_>) -> Option<Result<Self, BadCertificate>> {
        let (serial, kind) = (reader.u64()?, reader.u32()?);
        let (key_id, mut names) = (reader.text()?, Reader(reader.string()?));
        let valid = reader.u64()?..reader.u64()?;
        let (critical, extensions) = (reader.string()?, reader.string()?);
        let (_reserved, authority) = (reader.string()?, reader.string()?);
        let mut signature = Reader(reader.string()?);
        // SSH2_CERT_TYPE_USER, SSH2_CERT_TYPE_HOST
        if !matches!(kind, 1 | 2) || !reader.is_empty() {
            return None;
        }
        let mut principals = Vec::new();
        while !names.is_empty() {
            if principals.len() == PRINCIPALS_MAX {
                return None;
            }
            principals.push(names.text()?.to_vec());
        }
        let options = options(critical, extensions)?;
        let authority = match BlobKey::parse(authority) {
            Ok(authority) if authority.certificate => return None,
            Ok(authority) => authority,
            Err(problem) => return Some(Err(BadCertificate::Key(problem))),
        };
        Some(Ok(Self {
            key,
            authority,
            signature: signature.text()?.to_vec(),
            serial,
            key_id: key_id.to_vec(),
            is_for_users: kind == 1,
            principals,
            valid,
            options,
        }))
    }
}

/// `sshauthopt_from_cert`; `None` where the lists are cut short.
fn options(
    critical: &[u8],
    extensions: &[u8],
) -> Option<Result<CertificateOptions, BadCertificate>> {
    let mut options = CertificateOptions::default();
    let mut bad = None;
    let mut list = Reader(critical);
    while !list.is_empty() {
        let (name, data) = (list.string()?, list.string()?);
        if let Err(why) = options.take(name, data) {
            bad.get_or_insert(why);
        }
    }
    let mut list = Reader(extensions);
    while !list.is_empty() {
        let (name, data) = (list.string()?, list.string()?);
        if EXTENSIONS.contains(&name) && !data.is_empty() {
            bad.get_or_insert(BadCertificate::BadOption);
        }
    }
    Some(bad.map_or(Ok(options), Err))
}

const EXTENSIONS: [&[u8]; 6] = [
    b"no-touch-required",
    b"permit-X11-forwarding",
    b"permit-agent-forwarding",
    b"permit-port-forwarding",
    b"permit-pty",
    b"permit-user-rc",
];

impl CertificateOptions {
    fn take(&mut self, name: &[u8], data: &[u8]) -> Result<(), BadCertificate> {
        let mut data = Reader(data);
        let bad = BadCertificate::BadOption;
        match name {
            b"verify-required" => {}
            b"force-command" => {
                let command = ForcedCommand::of(data.text().ok_or(bad)?);
                if self.forced_command.replace(command).is_some() {
                    return Err(bad);
                }
            }
            b"source-address" => {
                let networks = networks(data.text().ok_or(bad)?).ok_or(bad)?;
                if self.source_address.replace(networks).is_some() {
                    return Err(bad);
                }
            }
            _ => return Err(BadCertificate::UnknownOption),
        }
        match data.is_empty() {
            true => Ok(()),
            false => Err(bad),
        }
    }
}

/// `addr_match_cidr_list`: networks and addresses only, none of them negated.
fn networks(list: &[u8]) -> Option<Vec<Network>> {
    let network = |entry: &[u8]| match Network::parse(entry) {
        NetworkParse::Network(network) if entry.len() <= ADDRESS_BYTES_MAX => Some(network),
        _ => None,
    };
    list.split(|b| *b == b',').map(network).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sshd::wire::Writer;

    /// A certificate for a key of 32 times 9, by a CA of 32 times 7.
    fn blob(principals: &[&[u8]], critical: &[(&[u8], &[u8])]) -> Vec<u8> {
        let list = |parts: &[&[u8]]| {
            let mut list = Writer(Vec::new());
            parts.iter().for_each(|part| list.string(part));
            list.0
        };
        let mut blob = Writer(list(&[
            b"ssh-ed25519-cert-v01@openssh.com",
            b"nonce",
            &[9; 32],
        ]));
        blob.0.extend(5u64.to_be_bytes());
        blob.0.extend(1u32.to_be_bytes());
        blob.string(b"alice's");
        blob.string(&list(principals));
        blob.0.extend(100u64.to_be_bytes());
        blob.0.extend(200u64.to_be_bytes());
        let options: Vec<&[u8]> = critical.iter().flat_map(|(n, d)| [*n, *d]).collect();
        blob.string(&list(&options));
        blob.string(&list(&[b"permit-pty", b""]));
        blob.string(b"");
        blob.string(&list(&[b"ssh-ed25519", &[7; 32]]));
        blob.string(&list(&[b"ssh-ed25519", &[1; 64]]));
        blob.0
    }

    #[test]
    fn a_certificate_says_whom_it_is_for() {
        let certificate = Certificate::parse(&blob(&[b"alice", b"admin"], &[])).unwrap();
        assert_eq!(certificate.principals, [b"alice".to_vec(), b"admin".into()]);
        assert_eq!(
            (certificate.serial, certificate.valid.clone()),
            (5, 100..200)
        );
        assert_eq!(certificate.signature, b"ssh-ed25519");
        assert!(certificate.is_for_users && certificate.options.is_ok());
        assert_ne!(
            certificate.key.fingerprint,
            certificate.authority.fingerprint
        );
        assert_eq!(certificate.key.bits, 256);
        let shown = format!("{certificate:?}");
        assert!(!shown.contains("alice"), "{shown}");
    }

    #[test]
    fn options_that_sshd_takes_and_refuses() {
        let options =
            |critical: &[(&[u8], &[u8])]| Certificate::parse(&blob(&[], critical)).unwrap().options;
        let command: (&[u8], &[u8]) = (b"force-command", b"\0\0\0\x04true");
        let source: (&[u8], &[u8]) = (b"source-address", b"\0\0\0\x0a10.0.0.0/8");
        let both = options(&[command, source]).unwrap();
        assert_eq!(both.forced_command, Some(ForcedCommand::of(b"true")));
        assert!(both.is_good_from([10, 1, 2, 3].into()));
        assert!(!both.is_good_from([11, 1, 2, 3].into()));
        assert!(options(&[(b"verify-required", b"")]).is_ok());
        for bad in [
            vec![command, command],
            vec![(b"source-address".as_slice(), b"\0\0\0\x02!*".as_slice())],
            vec![(b"source-address", b"\0\0\0\x0b10.0.0.1/8,")],
            vec![(b"force-command", b"true")],
            vec![(b"verify-required", b"x")],
        ] {
            assert_eq!(options(&bad), Err(BadCertificate::BadOption), "{bad:?}");
        }
        assert_eq!(
            options(&[(b"permit-pty", b"")]),
            Err(BadCertificate::UnknownOption)
        );
    }

    #[test]
    fn what_is_cut_short_is_damaged() {
        let whole = blob(&[b"alice"], &[]);
        for end in 60..whole.len() {
            assert!(Certificate::parse(&whole[..end]).is_err(), "{end}");
        }
        assert_eq!(
            Certificate::parse(&[whole.as_slice(), b"x"].concat()),
            Err(BadCertificate::Damaged)
        );
        assert_eq!(
            Certificate::parse_line(b"ssh-ed25519 AAAA me"),
            Err(BadCertificate::NoCertificate)
        );
    }
}
