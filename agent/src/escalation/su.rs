//! su(1): who may use it, and what it asks.
//!
//! util-linux's su asks PAM (`/etc/pam.d/su`), which with pam_unix asks for the password of the
//! account one becomes. pam_wheel(8) narrows who may try, or waves its group through.

use std::path::Path;

use rescind_protocol::path::Source;

use crate::host::account::Account;
use crate::host::root::{HostRoot, ReadError};

const PAM_SU: &str = "/etc/pam.d/su";
const PAM_BYTES_MAX: u64 = 1 << 20;

/// What pam_wheel says in su's stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SuRules {
    /// Lines of pam_wheel, in their order.
    wheel: Vec<Wheel>,
    /// Whether there is an su at all.
    there: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Wheel {
    line: u32,
    group: Vec<u8>,
    /// Its members need no password.
    trust: bool,
    /// Its members may not.
    deny: bool,
    /// Others are turned away: `required` or `requisite`.
    decides: bool,
}

/// What an account may do with su.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum May {
    /// Nothing.
    No,
    /// Become whom it knows the password of.
    WithPassword,
    /// Become anybody without a password.
    Freely(Source),
}

impl SuRules {
    /// Reads su's stack of PAM.
    pub fn read(root: &HostRoot) -> Result<Self, ReadError> {
        match root.read(Path::new(PAM_SU), PAM_BYTES_MAX) {
            Ok(file) => Ok(Self::parse(&file.bytes)),
            Err(error) if error.is_missing() => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    fn parse(stack: &[u8]) -> Self {
        let lines = (1u32..).zip(stack.split(|byte| *byte == b'\n'));
        Self {
            wheel: lines.filter_map(|(line, text)| wheel(line, text)).collect(),
            there: true,
        }
    }

    /// What an account may do.
    pub fn may(&self, account: &Account) -> May {
        if !self.there {
            return May::No;
        }
        let is_in = |wheel: &Wheel| account.groups.iter().any(|group| group.name == wheel.group);
        for wheel in &self.wheel {
            match (is_in(wheel), wheel.deny) {
                (true, false) if wheel.trust => {
                    return May::Freely(Source {
                        file: PAM_SU.into(),
                        line: Some(wheel.line),
                    });
                }
                (true, true) | (false, false) if wheel.decides && !wheel.trust => return May::No,
                _ => {}
            }
        }
        May::WithPassword
    }
}

/// A line of pam_wheel(8): `auth required pam_wheel.so group=staff`.
fn wheel(line: u32, text: &[u8]) -> Option<Wheel> {
    let text = text.split(|byte| *byte == b'#').next()?;
    let mut words = text
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let kind = words.next()?;
    if !kind.trim_ascii_start().eq_ignore_ascii_case(b"auth") && kind != b"-auth" {
        return None;
    }
    let control = words.next()?;
    if !words.next()?.ends_with(b"pam_wheel.so") {
        return None;
    }
    let options: Vec<&[u8]> = words.collect();
    let group = options.iter().find_map(|word| word.strip_prefix(b"group="));
    Some(Wheel {
        line,
        // Without a group it is wheel, or root's group where there is no wheel.
        group: group.unwrap_or(b"wheel").to_vec(),
        trust: options.contains(&&b"trust"[..]),
        deny: options.contains(&&b"deny"[..]),
        decides: control == b"required" || control == b"requisite",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::account::GroupRef;

    fn in_groups(groups: &[&str]) -> Account {
        let mut account = crate::escalation::explain::tests::account("alice", 1000);
        account.groups = groups
            .iter()
            .map(|name| GroupRef {
                name: name.as_bytes().to_vec(),
                gid: 0,
            })
            .collect();
        account
    }

    #[test]
    fn pam_wheel_narrows_or_trusts() {
        let may =
            |stack: &str, groups: &[&str]| SuRules::parse(stack.as_bytes()).may(&in_groups(groups));
        let plain =
            "auth sufficient pam_rootok.so\n# auth required pam_wheel.so\n@include common-auth\n";
        assert_eq!(may(plain, &[]), May::WithPassword);
        let narrow = "auth required pam_wheel.so group=staff\n";
        assert_eq!(may(narrow, &[]), May::No);
        assert_eq!(may(narrow, &["staff"]), May::WithPassword);
        let deny = "auth required pam_wheel.so deny group=nosu\n";
        assert_eq!(may(deny, &["nosu"]), May::No);
        assert_eq!(may(deny, &["staff"]), May::WithPassword);
        let trust = "auth sufficient pam_wheel.so trust\n";
        assert!(matches!(may(trust, &["wheel"]), May::Freely(_)));
        assert_eq!(may(trust, &["staff"]), May::WithPassword);
        assert_eq!(SuRules::default().may(&in_groups(&[])), May::No);
    }
}
