//! What a unit file or drop-in says of who a unit runs as and what it starts.

use super::programs::{self, Named};
use super::unit_syntax::{UnitText, words};

/// The settings of one file that matter here, in its order. Of the commands it runs only the
/// programs are kept: the rest may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnitFile {
    settings: Vec<Setting>,
    uses: Vec<Use>,
    /// Nothing stands in it at all: such a unit is masked.
    pub is_empty: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting {
    line: u32,
    key: Key,
    value: Vec<u8>,
}

/// Files that a line has the unit use.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Use {
    line: u32,
    key: Vec<u8>,
    /// Nothing where the line takes back those before it.
    what: Option<Uses>,
}

/// Files that a unit uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uses {
    /// It runs these, with root's rights whatever `User=` says where the flag is set.
    Programs(Vec<Named>, bool),
    /// It takes variables of its environment from this file.
    Environment(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    User,
    DynamicUser,
    PamName,
    /// `Wants=` and all that starts other units with this one.
    Starts,
    /// `Unit=` of a timer or path, `Service=` of a socket, `SystemdService=` of a D-Bus name.
    Triggers,
    Accept,
    Restart,
}

/// A setting that is in force, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// Which of the files of the unit, by its place among them.
    pub file: usize,
    /// The line, from 1.
    pub line: u32,
    /// Its value.
    pub value: Vec<u8>,
}

/// Files that a unit uses, and where that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse {
    /// Which of the files of the unit, by its place among them.
    pub file: usize,
    /// The line, from 1.
    pub line: u32,
    /// Which files, and what for.
    pub what: Uses,
}

/// What the files of a unit say together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// `User=`.
    pub user: Option<InForce>,
    /// `DynamicUser=`.
    pub dynamic_user: Option<InForce>,
    /// `PAMName=`.
    pub pam_name: Option<InForce>,
    /// Units that are started with this one.
    pub starts: Vec<Vec<u8>>,
    /// The unit that a timer, path, socket or D-Bus name starts, where it is not the one of its own
    /// name.
    pub triggers: Option<Vec<u8>>,
    /// `Accept=yes`: a socket that starts an instance for each connection.
    pub accepts: bool,
    /// `Restart=` anything but `no`: systemd starts it again by itself.
    pub restarts: bool,
    /// Files it uses.
    pub uses: Vec<InUse>,
}

impl UnitFile {
    /// Takes the content of a file.
    pub fn parse(bytes: Vec<u8>) -> Self {
        let is_empty = bytes.is_empty();
        let text = UnitText::parse(bytes);
        let setting = |a: super::unit_syntax::Assignment<'_>| {
            Some(Setting {
                line: a.line,
                key: key(a.section, &a.key)?,
                value: a.value.into_owned(),
            })
        };
        let (mut settings, mut uses) = (Vec::new(), Vec::new());
        for assignment in text.assignments() {
            if let Some(what) = what_it_uses(assignment.section, &assignment.key, &assignment.value)
            {
                uses.push(Use {
                    line: assignment.line,
                    key: assignment.key.to_vec(),
                    what,
                });
            } else {
                settings.extend(setting(assignment));
            }
        }
        Self {
            settings,
            uses,
            is_empty,
        }
    }
}

impl Settings {
    /// Puts files together, the unit's own first and then its drop-ins in their order: the last
    /// assignment counts, an empty one takes back those before it, dependencies add up.
    pub fn of<'f>(files: impl Iterator<Item = &'f UnitFile>) -> Self {
        let mut all = Self::default();
        let mut uses: Vec<(&[u8], InUse)> = Vec::new();
        for (place, file) in files.enumerate() {
            for one in &file.uses {
                match &one.what {
                    Some(what) => {
                        let what = what.clone();
                        let (file, line) = (place, one.line);
                        uses.push((&one.key, InUse { file, line, what }));
                    }
                    None => uses.retain(|(key, _)| *key != one.key),
                }
            }
            for setting in &file.settings {
                let in_force = || InForce {
                    file: place,
                    line: setting.line,
                    value: setting.value.clone(),
                };
                let value = Some(in_force()).filter(|set| !set.value.is_empty());
                match setting.key {
                    Key::User => all.user = value,
                    Key::DynamicUser => {
                        all.dynamic_user = value.filter(|set| is_yes(&set.value));
                    }
                    Key::PamName => all.pam_name = value,
                    Key::Starts => all.starts.extend(words(&setting.value)),
                    Key::Triggers => all.triggers = value.map(|set| set.value),
                    Key::Accept => all.accepts = is_yes(&setting.value),
                    Key::Restart => {
                        all.restarts = !matches!(setting.value.as_slice(), b"" | b"no");
                    }
                }
            }
        }
        all.uses = uses.into_iter().map(|(_, one)| one).collect();
        all
    }
}

/// What a line has the unit use; inside, nothing where it takes back those before it.
fn what_it_uses(section: &[u8], key: &[u8], value: &[u8]) -> Option<Option<Uses>> {
    if !matches!(section, b"Service" | b"Socket") {
        return None;
    }
    if key == b"EnvironmentFile" {
        let path = value.strip_prefix(b"-").unwrap_or(value);
        return Some((!path.is_empty()).then(|| Uses::Environment(path.to_vec())));
    }
    let is_command = [
        &b"ExecStart"[..],
        b"ExecStartPre",
        b"ExecStartPost",
        b"ExecCondition",
        b"ExecReload",
        b"ExecStop",
        b"ExecStopPre",
        b"ExecStopPost",
    ]
    .contains(&key);
    is_command.then(|| {
        let (named, as_root) = programs::of_unit(value);
        (!value.is_empty()).then_some(Uses::Programs(named, as_root))
    })
}

fn key(section: &[u8], key: &[u8]) -> Option<Key> {
    Some(match (section, key) {
        // Whatever runs commands may run them as somebody.
        (b"Service" | b"Socket" | b"Mount" | b"Swap", b"User") => Key::User,
        (b"Service" | b"Socket" | b"Mount" | b"Swap", b"DynamicUser") => Key::DynamicUser,
        (b"Service" | b"Socket" | b"Mount" | b"Swap", b"PAMName") => Key::PamName,
        (
            b"Unit",
            b"Wants" | b"Requires" | b"BindsTo" | b"Upholds" | b"OnFailure" | b"OnSuccess",
        )
        | (b"Service", b"Sockets") => Key::Starts,
        (b"Timer" | b"Path", b"Unit")
        | (b"Socket", b"Service")
        | (b"D-BUS Service", b"SystemdService") => Key::Triggers,
        (b"Socket", b"Accept") => Key::Accept,
        (b"Service", b"Restart") => Key::Restart,
        _ => return None,
    })
}

/// What systemd takes for yes.
fn is_yes(value: &[u8]) -> bool {
    [&b"1"[..], b"yes", b"y", b"true", b"t", b"on"]
        .iter()
        .any(|yes| value.eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_assignment_counts() {
        let files: Vec<UnitFile> = [
            "[Unit]\nWants=a.service b.service\nUser=nobody\n[Service]\nUser=alice\n\
             PAMName=login\nDynamicUser=yes\nExecStart=/bin/x --token=secret\n",
            "[Service]\nDynamicUser=no\n[Unit]\nWants=c.target\n",
            "# x\n[Service]\nUser=\nUser=bob\nPAMName=\n",
        ]
        .map(|text| UnitFile::parse(text.into()))
        .into();
        let settings = Settings::of(files.iter());
        let user = settings.user.unwrap();
        assert_eq!((user.file, user.line, user.value), (2, 4, b"bob".to_vec()));
        assert_eq!((settings.pam_name, settings.dynamic_user), (None, None));
        assert_eq!(
            settings.starts,
            [&b"a.service"[..], b"b.service", b"c.target"]
        );
        assert!(!format!("{files:?}").contains("115, 101, 99, 114")); // "secr"
        assert!(UnitFile::parse(Vec::new()).is_empty);
    }

    #[test]
    fn what_it_runs() {
        let file = |text: &str| UnitFile::parse(text.into());
        let files = [
            file(
                "[Service]\nExecStart=/opt/a --token=x\nExecStop=/opt/b\nEnvironmentFile=-/etc/e\n",
            ),
            file("[Service]\nExecStart=\nExecStart=+/opt/c\n[Unit]\nExecStart=/opt/d\n"),
        ];
        let path = |text: &str| vec![Named::Path(text.into())];
        let settings = Settings::of(files.iter());
        let uses: Vec<_> = settings
            .uses
            .into_iter()
            .map(|u| (u.file, u.line, u.what))
            .collect();
        assert_eq!(
            uses,
            [
                (0, 3, Uses::Programs(path("/opt/b"), false)),
                (0, 4, Uses::Environment(b"/etc/e".to_vec())),
                (1, 3, Uses::Programs(path("/opt/c"), true)),
            ]
        );
    }

    #[test]
    fn what_triggers_name() {
        let settings = |text: &str| Settings::of([UnitFile::parse(text.into())].iter());
        assert_eq!(
            settings("[Timer]\nUnit=x.service").triggers.as_deref(),
            Some(&b"x.service"[..])
        );
        let socket = settings("[Socket]\nAccept=True\nService=y.service\nService=\n");
        assert!(socket.accepts && socket.triggers.is_none());
    }
}
