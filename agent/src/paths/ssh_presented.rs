//! The one certificate that is asked about: what sshd has against it (`userauth_pubkey` and what it calls).

use super::evaluate::{Situation, View};
use super::verdict::Checks;
use crate::sshd::algorithms::{self, KeyType};
use crate::sshd::certificate::{Certificate, CertificateOptions};
use crate::sshd::key_line::KeyLine;
use crate::sshd::key_options::KeyOptions;
use crate::sshd::printable::printable;

/// Everything but whom it is for and what the line of its CA says; its options where sshd takes them.
pub fn check<'c>(
    view: &View<'_>,
    situation: &Situation,
    authority: &KeyLine,
    certificate: &'c Certificate,
    checks: &mut Checks,
) -> Option<&'c CertificateOptions> {
    if certificate.authority.fingerprint != authority.fingerprint {
        checks.closed("the certificate is by another CA");
    }
    check_algorithms(situation, certificate, checks);
    situation.revoked.check_certificate(certificate, checks);
    if !certificate.is_for_users {
        checks.closed("the certificate is for a host");
    }
    let now = u64::try_from(view.facts.now).unwrap_or(0);
    if now < certificate.valid.start {
        checks.closed("the certificate is not valid yet");
    }
    if now >= certificate.valid.end {
        checks.closed("the certificate is not valid any more");
    }
    let options = match &certificate.options {
        Ok(options) => options,
        Err(bad) => {
            checks.closed(bad.to_string());
            return None;
        }
    };
    if let Some(networks) = &options.source_address {
        let address = view.facts.connection.as_ref().map(|connection| {
            let text = connection
                .address
                .as_deref()
                .and_then(|bytes| std::str::from_utf8(bytes).ok());
            text.and_then(|text| text.parse().ok())
        });
        match address {
            // For no client in particular: some address of these will do.
            None if !networks.is_empty() => {}
            Some(Some(address)) if options.is_good_from(address) => {}
            _ => checks.closed("source-address does not match this client"),
        }
    }
    Some(options)
}

fn check_algorithms(situation: &Situation, certificate: &Certificate, checks: &mut Checks) {
    let settings = &situation.settings;
    let accepted = &settings.pubkey_accepted_algorithms;
    let key = &certificate.key;
    if !algorithms::accepts_certificate(&accepted.value, key.key_type) {
        checks.closed(format!(
            "PubkeyAcceptedAlgorithms takes no certificates for {} ({})",
            key.key_type.name(),
            accepted.origin
        ));
    }
    let signed = &settings.ca_signature_algorithms;
    if !signed
        .value
        .iter()
        .any(|name| name.as_bytes() == certificate.signature)
    {
        checks.closed(format!(
            "CASignatureAlgorithms does not take {} ({})",
            printable(&certificate.signature),
            signed.origin
        ));
    }
    let least = &settings.required_rsa_size;
    if key.key_type == KeyType::Rsa && key.bits < least.value as usize {
        checks.closed(format!(
            "RequiredRSASize {} ({})",
            least.value, least.origin
        ));
    }
}

/// Whether the command that a line forces and that of the certificate can both be obeyed (`sshauthopt_merge`); whether
/// one is forced.
pub fn check_commands(
    line: Option<&KeyOptions>,
    options: Option<&CertificateOptions>,
    checks: &mut Checks,
) -> bool {
    let of_line = line.and_then(|line| line.command.as_ref());
    let of_certificate = options.and_then(|options| options.forced_command.as_ref());
    if let (Some(line), Some(certificate)) = (of_line, of_certificate)
        && line != certificate
    {
        checks.closed("the line and the certificate force different commands");
    }
    of_line.is_some() || of_certificate.is_some()
}

/// Whether `principals=` of a line names somebody whom the certificate is for (`match_principals_option`).
pub fn check_principals_option(list: &[u8], certificate: &Certificate, checks: &mut Checks) {
    // `match_list` ends at the first empty entry of either list.
    fn entries(list: &[u8]) -> impl Iterator<Item = &[u8]> {
        list.split(|b| *b == b',')
            .take_while(|entry| !entry.is_empty())
    }
    let matches = |principal: &Vec<u8>| {
        entries(principal).any(|one| entries(list).take(PROPOSALS_MAX).any(|entry| entry == one))
    };
    if !certificate.principals.iter().any(matches) {
        checks.closed(format!(
            "principals={} names nobody whom the certificate is for",
            printable(list)
        ));
    }
}

/// `MAX_PROP` of match.c.
const PROPOSALS_MAX: usize = 40;
