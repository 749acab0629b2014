//! Unit files of systemd with their drop-ins, links and names.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rescind_agent::deferred::unit_file::{Settings, UnitFile};
use rescind_agent::deferred::unit_name::UnitName;
use rescind_agent::deferred::unit_path::{NameIn, is_drop_in, name_in_directory};
use rescind_agent::deferred::unit_set::{Directory, Entry, Target as LinkTarget, UnitSet};
use rescind_agent::deferred::unit_syntax::{UnitText, words};
use rescind_agent::paths::units::{self, OwnUnits, UnitFacts};

use super::alice::{alice, are_told_safely};
use super::told::{is_told_safely, lines_in};
use super::tree::Tree;
use super::{Target, nothing_made};

pub const TARGET: Target = Target {
    name: "units",
    read,
    words: &[
        "==> /etc/systemd/system/a.service <==\n",
        "==> /usr/lib/systemd/system/a@.service <==\n",
        "==> /etc/systemd/system/a.service.d/x.conf <==\n",
        "==> /etc/systemd/system/multi-user.target.wants/a@b.service <==\n",
        "==> /etc/systemd/system/alias.service <==\n-> a.service\n",
        "==> /etc/systemd/system/a.timer <==\n",
        "-> /dev/null\n",
        "-> b.service\n",
        "[Service]\n",
        "[Unit]\n",
        "[Timer]\n",
        "[Socket]\n",
        "[Install]\n",
        "User=alice\n",
        "User=%i\n",
        "User=%U%%%j\n",
        "DynamicUser=yes\n",
        "PAMName=login\n",
        "Wants=b.service c@%i.service\n",
        "Unit=a.service\n",
        "Accept=yes\n",
        "Sockets=",
        "OnFailure=",
        "User=\n",
        "\\\n",
        "; comment\n",
        "\\x2d",
        "a-b-c@d.service",
        "service.d/",
        ".socket",
        "'a b'",
        "%%",
        "%",
    ],
    made: nothing_made,
    rooms: &[
        "agent/src/deferred/unit_file.rs",
        "agent/src/deferred/unit_name.rs",
        "agent/src/deferred/unit_path.rs",
        "agent/src/deferred/unit_set",
        "agent/src/deferred/unit_syntax.rs",
        "agent/src/orders/acting/tests.rs",
        "tests/tests/unit_agreement.rs",
    ],
};

const MAIN: &str = "/etc/systemd/system/main.service";

fn read(bytes: &[u8]) {
    let tree = Tree::parse(bytes, MAIN);
    text(bytes);
    for line in bytes.split(|byte| *byte == b'\n').take(16) {
        name(line);
    }
    let directories = directories(&tree);
    let set = UnitSet::new(&directories);
    let activated = [(
        UnitName::parse(b"main.service").expect("it is a name"),
        "asked for".to_owned(),
    )];
    let units = set.units(&activated, &[]);
    let own = OwnUnits {
        lingers: Some(Ok(())),
        units: units.clone(),
        gaps: Vec::new(),
    };
    let facts = UnitFacts {
        units,
        manager: None,
        ..UnitFacts::default()
    };
    let mut paths = Vec::new();
    units::add_system(&alice(), &facts, 20_000, &mut paths);
    units::add_own(&alice(), &facts, &own, 20_000, &mut paths);
    are_told_safely(&paths);
    for unit in &facts.units {
        assert_eq!(
            UnitName::parse(unit.name.as_bytes()).as_ref(),
            Some(&unit.name)
        );
        assert!(!unit.files.is_empty());
        if let Some(user) = &unit.settings.user {
            let lines = tree.lines(&unit.files[user.file]);
            let lines = lines.expect("a file that was read");
            assert!((1..=lines).contains(&user.line));
        }
        let started = unit.started.iter();
        started.for_each(|started| is_told_safely(&started.how));
    }
}

fn text(bytes: &[u8]) {
    let lines = 1..=lines_in(bytes);
    let text = UnitText::parse(bytes.to_vec());
    assert_eq!(text.to_bytes(), bytes);
    let assignments = text.assignments();
    assert!(
        assignments.iter().is_sorted_by(|a, b| a.line < b.line),
        "one on a line"
    );
    for assignment in &assignments {
        assert!(lines.contains(&assignment.line));
        assert!(!assignment.value.contains(&b'\n'));
        let split: Vec<Vec<u8>> = words(&assignment.value).collect();
        assert!(split.iter().map(Vec::len).sum::<usize>() <= assignment.value.len());
    }
    let file = UnitFile::parse(bytes.to_vec());
    assert_eq!(file.is_empty, bytes.is_empty());
    let once = Settings::of([&file].into_iter());
    let in_force = [&once.user, &once.dynamic_user, &once.pam_name];
    for set in in_force.into_iter().flatten() {
        assert!(lines.contains(&set.line) && !set.value.is_empty());
    }
    // Said twice it is in force from the second file; what is started is started.
    let twice = Settings::of([&file, &file].into_iter());
    assert_eq!(
        twice.user.map(|set| (set.line, set.value)),
        once.user.map(|set| (set.line, set.value))
    );
    assert_eq!(
        (twice.triggers, twice.accepts),
        (once.triggers, once.accepts)
    );
}

fn name(text: &[u8]) {
    match name_in_directory(text) {
        NameIn::Unit => assert!(UnitName::parse(text).is_some()),
        NameIn::Starts(unit) => assert!(text.starts_with(unit)),
        NameIn::DropIns | NameIn::Other => {}
    }
    let Some(name) = UnitName::parse(text) else {
        return;
    };
    assert_eq!(name.as_bytes(), text);
    if let Some(instance) = name.instance() {
        assert_eq!(name.with_instance(instance).as_ref(), Some(&name));
        assert!(
            name.template()
                .is_none_or(|template| template.is_template())
        );
    }
    assert_eq!(name.with_kind(name.kind()).as_ref(), Some(&name));
    assert_eq!(name.expand(b"%n").as_deref(), Some(text));
    for drop_ins in name
        .drop_in_names()
        .iter()
        .chain(&name.newer_drop_in_names())
    {
        assert!(drop_ins.ends_with(b".d") && drop_ins.len() <= text.len() + 3);
    }
    let _value = name.expand(text);
}

/// The files of the tree, as they would lie in directories of units. A file whose first line is
/// `-> NAME` is a link to that.
fn directories(tree: &Tree) -> Vec<Rc<Directory>> {
    let mut found: Vec<Directory> = Vec::new();
    for (path, bytes) in tree.files() {
        let Some((above, entry)) = entry(path, bytes) else {
            continue;
        };
        match found.iter_mut().find(|directory| directory.path == above) {
            Some(directory) => directory.entries.push(entry),
            None => found.push(Directory {
                own: above.starts_with("/home"),
                path: above,
                entries: vec![entry],
            }),
        }
    }
    found.into_iter().map(Rc::new).collect()
}

fn entry(path: &Path, bytes: &[u8]) -> Option<(PathBuf, Entry)> {
    let (above, name) = (path.parent()?, path.file_name()?.as_bytes().to_vec());
    let file = Rc::new(UnitFile::parse(bytes.to_vec()));
    let inside = above
        .file_name()
        .map(|name| name_in_directory(name.as_bytes()));
    Some(match inside {
        Some(NameIn::DropIns) if is_drop_in(&name) => {
            let directory = above.file_name()?.as_bytes().to_vec();
            (
                above.parent()?.to_owned(),
                Entry::DropIn {
                    directory,
                    name,
                    file,
                },
            )
        }
        Some(NameIn::Starts(by)) => (
            above.parent()?.to_owned(),
            Entry::Starts {
                by: by.to_vec(),
                name,
            },
        ),
        _ => {
            let line = bytes
                .split(|byte| *byte == b'\n')
                .next()
                .unwrap_or_default();
            let entry = match line.strip_prefix(b"-> ") {
                Some(b"/dev/null") => Entry::Link {
                    name,
                    to: LinkTarget::Masked,
                },
                Some(to) => Entry::Link {
                    name,
                    to: LinkTarget::Named(to.to_vec(), Some(file)),
                },
                None => Entry::File { name, file },
            };
            (above.to_owned(), entry)
        }
    })
}
