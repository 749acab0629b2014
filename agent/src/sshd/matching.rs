//! `Match`: what is decided by the account and what by the connection.

use std::fmt;

use super::lexer::{Delimited, trim_start};
use super::pattern::{self, ListMatch};
use super::printable::printable;
use super::release::Release;

/// The account that logs in, as `Match` sees it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// The names of all its groups; a gid without a name is left out.
    pub groups: &'a [&'a [u8]],
}

/// The criteria of one `Match` line; all must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchLine {
    criteria: Vec<Criterion>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Criterion {
    User(Vec<u8>),
    Group(Vec<u8>),
    /// True for names without an account only, and this module is asked about accounts.
    InvalidUser,
    /// A fact of the release, decided when the file is read.
    Version(bool),
    Connection(ConnectionCriterion),
}

/// What only the connection decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnectionCriterion {
    /// `Match Host`: the client's name.
    Host(Vec<u8>),
    /// `Match Address`: the client's address.
    Address(Vec<u8>),
    /// `Match LocalAddress`: the address it came to.
    LocalAddress(Vec<u8>),
    /// `Match LocalPort`: the port it came to.
    LocalPort(u16),
    /// `Match RDomain`: the routing domain it came in by.
    RDomain(Vec<u8>),
    /// The part after `@` in `AllowUsers` and `DenyUsers`: the client's name or address.
    From(Vec<u8>),
}

impl fmt::Display for ConnectionCriterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(list) => write!(f, "Host {}", printable(list)),
            Self::Address(list) => write!(f, "Address {}", printable(list)),
            Self::LocalAddress(list) => write!(f, "LocalAddress {}", printable(list)),
            Self::LocalPort(port) => write!(f, "LocalPort {port}"),
            Self::RDomain(list) => write!(f, "RDomain {}", printable(list)),
            Self::From(list) => write!(f, "from {}", printable(list)),
        }
    }
}

/// Whoever knows, or supposes, what the connection is like.
pub trait Decide {
    /// Whether the criterion holds.
    fn decide(&mut self, criterion: &ConnectionCriterion) -> bool;
}

/// One connection, as `sshd -T -C` takes it; what is not given matches nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connection {
    /// `host=`: the client's name; its address where sshd does not ask DNS.
    pub host: Option<Vec<u8>>,
    /// `addr=`: the client's address.
    pub address: Option<Vec<u8>>,
    /// `laddr=`
    pub local_address: Option<Vec<u8>>,
    /// `lport=`
    pub local_port: Option<u16>,
    /// `rdomain=`
    pub rdomain: Option<Vec<u8>>,
}

impl Decide for Connection {
    fn decide(&mut self, criterion: &ConnectionCriterion) -> bool {
        let present = |found| found == ListMatch::Present;
        let address = |text: &Option<Vec<u8>>, list| {
            text.as_deref()
                .is_some_and(|a| present(pattern::matches_address(Some(a), list)))
        };
        match criterion {
            ConnectionCriterion::Host(list) => self
                .host
                .as_deref()
                .is_some_and(|h| present(pattern::matches_hostname(h, list))),
            ConnectionCriterion::Address(list) => address(&self.address, list),
            ConnectionCriterion::LocalAddress(list) => address(&self.local_address, list),
            ConnectionCriterion::LocalPort(port) => self.local_port == Some(*port),
            ConnectionCriterion::RDomain(list) => self
                .rdomain
                .as_deref()
                .is_some_and(|d| present(pattern::matches_list(d, list))),
            ConnectionCriterion::From(list) => match (&self.host, &self.address) {
                (Some(host), Some(address)) => {
                    present(pattern::matches_host_and_address(host, address, list))
                }
                _ => false,
            },
        }
    }
}

impl MatchLine {
    /// Parses what stands after `Match`. `rest` is the text behind the keyword, `words` the same split by
    /// `argv_split`, which 9.9 and later use.
    pub fn parse(rest: &[u8], words: &[Vec<u8>], release: &Release) -> Result<Self, String> {
        if release.at_least(9, 9) {
            parse_words(words, release)
        } else {
            parse_delimited(rest)
        }
    }

    /// Whether the block applies when the file is read at start, before there is a connection.
    pub fn holds_at_start(&self) -> bool {
        self.criteria.iter().all(|c| *c == Criterion::Version(true))
    }

    /// Whether the block applies. The connection is asked only where the account leaves it open.
    pub fn holds(&self, subject: &Subject<'_>, connection: &mut dyn Decide) -> bool {
        let by_account = self.criteria.iter().all(|criterion| match criterion {
            Criterion::User(list) => {
                pattern::matches_list(subject.name, list) == ListMatch::Present
            }
            Criterion::Group(list) => matches_groups(subject.groups, list),
            Criterion::InvalidUser => false,
            Criterion::Version(matches) => *matches,
            Criterion::Connection(_) => true,
        });
        by_account
            && self.criteria.iter().all(|criterion| match criterion {
                Criterion::Connection(criterion) => connection.decide(criterion),
                _ => true,
            })
    }
}

/// `ga_match_pattern_list`: a negated match of any group wins.
fn matches_groups(groups: &[&[u8]], list: &[u8]) -> bool {
    let found = |wanted| {
        groups
            .iter()
            .any(|g| pattern::matches_list(g, list) == wanted)
    };
    !found(ListMatch::Negated) && found(ListMatch::Present)
}

/// Up to 9.8: words from `strdelim`.
fn parse_delimited(rest: &[u8]) -> Result<MatchLine, String> {
    let mut text = Delimited::new(rest);
    let mut criteria = Vec::new();
    let mut attributes = 0;
    while let Some(attribute) = text.word().filter(|w| !w.is_empty()) {
        if attribute[0] == b'#' {
            text = Delimited::new(b"");
            break;
        }
        attributes += 1;
        let argument = text.word();
        if attribute.eq_ignore_ascii_case(b"all") {
            let alone = argument
                .as_ref()
                .is_none_or(|a| a.is_empty() || a[0] == b'#');
            if attributes > 1 || !alone {
                return Err("'all' cannot be combined with other Match attributes".into());
            }
            if argument.is_some_and(|a| !a.is_empty()) {
                text = Delimited::new(b"");
            }
            break;
        }
        criteria.push(criterion(&attribute, argument.as_deref(), None)?);
    }
    if text.rest().is_some_and(|rest| !trim_start(rest).is_empty()) {
        return Err("extra arguments at end of line".into());
    }
    if attributes == 0 {
        return Err("one or more attributes required for Match".into());
    }
    Ok(MatchLine { criteria })
}

/// From 9.9 on: words from `argv_split`, and `attribute=argument` as one word.
fn parse_words(words: &[Vec<u8>], release: &Release) -> Result<MatchLine, String> {
    let mut words = words.iter();
    let mut criteria = Vec::new();
    let mut attributes = 0;
    while let Some(attribute) = words.next() {
        if attribute.starts_with(b"#") {
            words = [].iter();
            break;
        }
        attributes += 1;
        if attribute.eq_ignore_ascii_case(b"all") {
            let argument = words.next();
            if attributes > 1 || argument.is_some_and(|a| !a.is_empty() && a[0] != b'#') {
                return Err("'all' cannot be combined with other Match attributes".into());
            }
            if argument.is_some_and(|a| !a.is_empty()) {
                words = [].iter();
            }
            break;
        }
        if attribute.eq_ignore_ascii_case(b"invalid-user") {
            criteria.push(Criterion::InvalidUser);
            continue;
        }
        let joined = attribute.iter().position(|b| *b == b'=').filter(|at| {
            TAKE_EQUALS
                .iter()
                .any(|name| attribute[..*at].eq_ignore_ascii_case(name.as_bytes()))
        });
        criteria.push(match joined {
            Some(at) => criterion(&attribute[..at], Some(&attribute[at + 1..]), Some(release))?,
            None => criterion(attribute, words.next().map(Vec::as_slice), Some(release))?,
        });
    }
    if words.next().is_some() {
        return Err("extra arguments at end of line".into());
    }
    if attributes == 0 {
        return Err("one or more attributes required for Match".into());
    }
    Ok(MatchLine { criteria })
}

const TAKE_EQUALS: [&str; 8] = [
    "user",
    "group",
    "host",
    "address",
    "localaddress",
    "localport",
    "rdomain",
    "version",
];

fn criterion(
    attribute: &[u8],
    argument: Option<&[u8]>,
    version: Option<&Release>,
) -> Result<Criterion, String> {
    let Some(argument) = argument.filter(|a| !a.is_empty() && a[0] != b'#') else {
        return Err(format!(
            "missing Match criteria for {}",
            printable(attribute)
        ));
    };
    let list = argument.to_vec();
    let checked = |list: Vec<u8>| match pattern::matches_address(None, &list) {
        ListMatch::Invalid => Err(format!("invalid address list {:?}", printable(&list))),
        _ => Ok(list),
    };
    let attribute = attribute.to_ascii_lowercase();
    Ok(match attribute.as_slice() {
        b"user" => Criterion::User(list),
        b"group" => Criterion::Group(list),
        b"host" => Criterion::Connection(ConnectionCriterion::Host(list)),
        b"address" => Criterion::Connection(ConnectionCriterion::Address(checked(list)?)),
        b"localaddress" => Criterion::Connection(ConnectionCriterion::LocalAddress(checked(list)?)),
        b"localport" => Criterion::Connection(ConnectionCriterion::LocalPort(port(&list)?)),
        b"rdomain" => Criterion::Connection(ConnectionCriterion::RDomain(list)),
        b"version" if version.is_some_and(|release| release.at_least(9, 10)) => {
            let text = version.map_or("", Release::text).as_bytes();
            Criterion::Version(pattern::matches_list(text, &list) == ListMatch::Present)
        }
        other => return Err(format!("unsupported Match attribute {}", printable(other))),
    })
}

/// `a2port`, without the names of /etc/services beyond ssh's own.
fn port(text: &[u8]) -> Result<u16, String> {
    if text == b"ssh" {
        return Ok(22);
    }
    std::str::from_utf8(text)
        .ok()
        .and_then(|t| t.parse().ok())
        .ok_or_else(|| format!("invalid LocalPort {:?} on Match line", printable(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sshd::lexer::argv_split;

    fn parse(text: &str, release: &str) -> Result<MatchLine, String> {
        let words = argv_split(text.as_bytes()).unwrap();
        MatchLine::parse(text.as_bytes(), &words, &release.parse().unwrap())
    }

    fn holds(text: &str, release: &str) -> bool {
        let subject = Subject {
            name: b"alice",
            groups: &[b"alice", b"staff"],
        };
        let mut connection = Connection {
            host: Some(b"pc.example.com".to_vec()),
            address: Some(b"10.0.0.7".to_vec()),
            local_address: Some(b"10.0.0.1".to_vec()),
            local_port: Some(22),
            rdomain: None,
        };
        parse(text, release)
            .unwrap()
            .holds(&subject, &mut connection)
    }

    #[test]
    fn criteria() {
        for release in ["OpenSSH_8.4p1", "OpenSSH_9.2p1", "OpenSSH_10.0p2"] {
            for (text, expected) in [
                ("all", true),
                ("ALL # every one", true),
                ("User alice", true),
                ("user bob,al*", true),
                ("User *,!alice", false),
                ("Group staff", true),
                ("Group *,!staff", false),
                ("User=alice", true),
                ("User alice Group nobody", false),
                ("Address 10.0.0.0/24 LocalPort 22", true),
                ("Address !10.0.0.0/24,*", false),
                ("Host *.EXAMPLE.com", true),
                ("LocalAddress 10.0.0.2", false),
                ("RDomain vrf0", false),
                ("User \"alice\"", true),
            ] {
                assert_eq!(holds(text, release), expected, "{release}: {text}");
            }
            for text in [
                "",
                "User",
                "all User alice",
                "User alice all",
                "Address 10.0.0.1/8",
                "LocalPort x",
                "Users a",
            ] {
                assert!(parse(text, release).is_err(), "{release}: {text}");
            }
        }
        assert!(parse("invalid-user", "OpenSSH_9.2p1").is_err());
        assert!(!holds("invalid-user", "OpenSSH_10.0p2"));
        assert!(holds("version OpenSSH_10.*", "OpenSSH_10.0p2"));
        assert!(
            parse("version *", "OpenSSH_10.0p2")
                .unwrap()
                .holds_at_start()
        );
        assert!(!parse("User *", "OpenSSH_10.0p2").unwrap().holds_at_start());
    }
}
