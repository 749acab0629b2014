//! `Defaults` that decide who gets in, as they stand for one account.

use super::tree::{Default, Value};

/// Settings of sudoers(5) that matter for who may become whom; the rest is in
/// [`super::tree::Sudoers::defaults`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are flags of sudoers(5)"
)]
pub struct Settings {
    /// Asks for a password.
    pub authenticate: bool,
    /// Asks for the target user's password.
    pub targetpw: bool,
    /// Asks for root's.
    pub rootpw: bool,
    /// Asks for the default runas user's.
    pub runaspw: bool,
    /// Asks PAM whether the account may be used.
    pub pam_acct_mgmt: bool,
    /// As which service it asks PAM.
    pub pam_service: Vec<u8>,
    /// The same for `sudo -i`; where nothing says, that depends on how sudo was built.
    pub pam_login_service: Option<Vec<u8>>,
    /// How long a password that was given counts, in seconds; `None` is as sudo was built.
    pub ticket_s: Option<i64>,
    /// Wants a terminal.
    pub requiretty: bool,
    /// Lets uid 0 use sudo.
    pub root_sudo: bool,
    /// Members are not asked for a password.
    pub exempt_group: Option<Vec<u8>>,
    /// An SELinux role or type, an AppArmor profile or a privilege set is given to commands.
    pub confines: bool,
    /// Commands run under this root directory.
    pub runchroot: Option<Vec<u8>>,
    /// As whom a rule without a runas list runs.
    pub runas_default: Vec<u8>,
    /// Netgroups count.
    pub use_netgroups: bool,
    /// Who answers for `%:group`.
    pub group_plugin: Option<Vec<u8>>,
    /// It answers for `%group` too.
    pub always_query_group_plugin: bool,
    /// Groups are compared by id.
    pub match_group_by_gid: bool,
    /// User names are compared without case.
    pub case_insensitive_user: bool,
    /// Group names are compared without case.
    pub case_insensitive_group: bool,
}

impl std::default::Default for Settings {
    fn default() -> Self {
        Self {
            authenticate: true,
            targetpw: false,
            rootpw: false,
            runaspw: false,
            pam_acct_mgmt: true,
            pam_service: b"sudo".to_vec(),
            pam_login_service: None,
            ticket_s: None,
            requiretty: false,
            root_sudo: true,
            exempt_group: None,
            confines: false,
            runchroot: None,
            runas_default: b"root".to_vec(),
            use_netgroups: true,
            group_plugin: None,
            always_query_group_plugin: false,
            match_group_by_gid: false,
            case_insensitive_user: true,
            case_insensitive_group: true,
        }
    }
}

/// Settings sudo applies before the others, wherever they stand.
pub(super) fn is_early(name: &[u8]) -> bool {
    matches!(
        name,
        b"fqdn" | b"match_group_by_gid" | b"group_plugin" | b"runas_default"
    )
}

/// Settings that change which rules are for whom, and not only what happens then.
pub(super) fn is_deciding(name: &[u8]) -> bool {
    matches!(
        name,
        b"runas_default"
            | b"root_sudo"
            | b"use_netgroups"
            | b"group_plugin"
            | b"always_query_group_plugin"
            | b"match_group_by_gid"
            | b"case_insensitive_user"
            | b"case_insensitive_group"
            | b"runchroot"
    )
}

impl Settings {
    /// Applies one setting; sudo ignores values that do not fit, and so do we.
    pub(super) fn apply(&mut self, default: &Default) {
        let flag = match default.value {
            Value::On => Some(true),
            Value::Off => Some(false),
            _ => None,
        };
        let text = match &default.value {
            Value::Set(text) => Some(Some(text.clone())),
            Value::Off => Some(None),
            _ => None,
        };
        let target = match default.name.as_slice() {
            b"authenticate" => &mut self.authenticate,
            b"targetpw" => &mut self.targetpw,
            b"rootpw" => &mut self.rootpw,
            b"runaspw" => &mut self.runaspw,
            b"pam_acct_mgmt" => &mut self.pam_acct_mgmt,
            b"requiretty" => &mut self.requiretty,
            b"root_sudo" => &mut self.root_sudo,
            b"use_netgroups" => &mut self.use_netgroups,
            b"always_query_group_plugin" => &mut self.always_query_group_plugin,
            b"match_group_by_gid" => &mut self.match_group_by_gid,
            b"case_insensitive_user" => &mut self.case_insensitive_user,
            b"case_insensitive_group" => &mut self.case_insensitive_group,
            b"role" | b"type" | b"apparmor_profile" | b"privs" | b"limitprivs" => {
                if let Some(text) = text {
                    self.confines = text.is_some();
                }
                return;
            }
            b"exempt_group" => return set(&mut self.exempt_group, text),
            b"runchroot" => return set(&mut self.runchroot, text),
            b"group_plugin" => return set(&mut self.group_plugin, text),
            b"pam_service" => {
                if let Some(Some(name)) = text {
                    self.pam_service = name;
                }
                return;
            }
            b"pam_login_service" => {
                if let Some(Some(name)) = text {
                    self.pam_login_service = Some(name);
                }
                return;
            }
            b"timestamp_timeout" => {
                self.ticket_s = match text {
                    Some(Some(minutes)) => seconds(&minutes).or(self.ticket_s),
                    Some(None) => Some(0),
                    None => self.ticket_s,
                };
                return;
            }
            b"runas_default" => {
                if let Some(Some(name)) = text {
                    self.runas_default = name;
                }
                return;
            }
            _ => return,
        };
        if let Some(flag) = flag {
            *target = flag;
        }
    }
}

/// Minutes with a fraction; below zero is for ever.
fn seconds(minutes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(minutes).ok()?;
    if text.starts_with('-') {
        return Some(i64::MAX);
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let tenths = part.bytes().next().filter(u8::is_ascii_digit);
    let whole: i64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let tenths = i64::from(tenths.unwrap_or(b'0') - b'0');
    Some(whole.saturating_mul(60).saturating_add(tenths * 6))
}

fn set(target: &mut Option<Vec<u8>>, text: Option<Option<Vec<u8>>>) {
    if let Some(text) = text {
        *target = text;
    }
}
