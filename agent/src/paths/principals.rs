//! For whom a certificate must be issued: the file that AuthorizedPrincipalsFile names (`auth_process_principals` of
//! auth2-pubkeyfile.c).

use super::evaluate::View;
use super::ssh_key_options;
use super::verdict::Checks;
use crate::sshd::certificate::Certificate;
use crate::sshd::key_options::KeyOptions;
use crate::sshd::printable::printable;

/// A line that sshd understands: a name, and options before it.
#[derive(Debug, PartialEq, Eq)]
pub struct Principal {
    name: Vec<u8>,
    options: KeyOptions,
}

/// The lines of a file; sshd passes over those whose options it does not understand.
pub fn parse(bytes: &[u8]) -> Vec<Principal> {
    bytes.split(|b| *b == b'\n').filter_map(line).collect()
}

fn line(raw: &[u8]) -> Option<Principal> {
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let text = raw.split(|b| matches!(b, b'#' | 0)).next()?;
    let text = &text[text.iter().position(|b| !blank(b))?..];
    let text = &text[..=text.iter().rposition(|b| !blank(b))?];
    // Behind the last space; only where there is none, behind the last tab.
    let behind = |byte: u8| text.iter().rposition(|b| *b == byte);
    let (name, options) = match behind(b' ').or_else(|| behind(b'\t')) {
        Some(at) => {
            let name = &text[at..];
            let start = name.iter().position(|b| !blank(b))?;
            (&name[start..], KeyOptions::parse(text).ok()?)
        }
        None => (text, KeyOptions::default()),
    };
    Some(Principal {
        name: name.to_vec(),
        options,
    })
}

/// Says in words for whom certificates are accepted by these lines, whoever holds them.
pub fn check_any(view: &View<'_>, lines: &[Principal], checks: &mut Checks) -> String {
    let mut seen: Vec<&[u8]> = Vec::new();
    let (mut names, mut refused, mut doubt) = (Vec::new(), None, None);
    for line in lines.iter().filter(|line| is_understood(view, line)) {
        // The first line with a name decides.
        if seen.contains(&line.name.as_slice()) {
            continue;
        }
        seen.push(&line.name);
        let mut own = Checks::default();
        check_line(view, line, &mut own);
        if own.is_sure_to_pass() {
            names.push(printable(&line.name));
        } else if own.is_closed() {
            refused.get_or_insert(own);
        } else {
            doubt.get_or_insert(own);
        }
    }
    if names.is_empty() {
        match doubt.or(refused) {
            Some(own) => checks.add(&own),
            None => checks.closed("the principals file names nobody"),
        }
        return "nobody".into();
    }
    names.join(", ")
}

/// Whether these lines accept a certificate; the line that does.
pub fn check_one<'l>(
    view: &View<'_>,
    lines: &'l [Principal],
    certificate: &Certificate,
    checks: &mut Checks,
) -> Option<&'l KeyOptions> {
    let names = |line: &&Principal| {
        is_understood(view, line) && certificate.principals.contains(&line.name)
    };
    let Some(line) = lines.iter().find(names) else {
        checks.closed("the principals file names nobody whom the certificate is for");
        return None;
    };
    check_line(view, line, checks);
    Some(&line.options)
}

/// A time in UTC was not understood before 9.1, and with it the whole line.
fn is_understood(view: &View<'_>, line: &Principal) -> bool {
    let in_utc = line.options.expiry.is_some_and(|expiry| expiry.utc);
    !in_utc || view.release.at_least(9, 1)
}

fn check_line(view: &View<'_>, line: &Principal, checks: &mut Checks) {
    if line.options.cert_authority {
        checks.closed("cert-authority stands before a principal");
    }
    ssh_key_options::check(view, &line.options, checks);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_stand_at_the_end_of_their_lines() {
        let file = b"# who\nalice\n  bob # temp\nfrom=\"10.*\" carol\n\ncommand=\"a b\" dave\n\
                     mallory eve\nno-pty\tfrank\ngrace\r\nx\ty z\n\theidi \t\nivan\0judy\n no-pty \tkim\n";
        let names: Vec<_> = parse(file)
            .into_iter()
            .map(|line| printable(&line.name))
            .collect();
        assert_eq!(
            names,
            [
                "alice", "bob", "carol", "dave", "frank", "grace\\r", "heidi", "ivan", "kim"
            ]
        );
        assert!(parse(file)[3].options.command.is_some());
    }
}
