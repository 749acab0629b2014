//! Directories of units, and what becomes of them.

use super::*;

fn file(text: &str) -> Rc<UnitFile> {
    Rc::new(UnitFile::parse(text.into()))
}

fn unit(name: &str, text: &str) -> Entry {
    Entry::File {
        name: name.into(),
        file: file(text),
    }
}

fn link(name: &str, to: &str, text: Option<&str>) -> Entry {
    let to = match to {
        "/dev/null" => Target::Masked,
        to => Target::Named(to.into(), text.map(file)),
    };
    Entry::Link {
        name: name.into(),
        to,
    }
}

fn drop_in(directory: &str, name: &str, text: &str) -> Entry {
    Entry::DropIn {
        directory: directory.into(),
        name: name.into(),
        file: file(text),
    }
}

fn starts(by: &str, name: &str) -> Entry {
    Entry::Starts {
        by: by.into(),
        name: name.into(),
    }
}

fn running(name: &str, now: bool) -> Running {
    Running {
        name: UnitName::parse(name.as_bytes()).unwrap(),
        now,
    }
}

fn show(directories: Vec<(&str, Vec<Entry>)>) -> Vec<String> {
    let directory = |(path, entries): (&str, Vec<Entry>)| {
        Rc::new(Directory {
            path: path.into(),
            own: path == "/etc",
            entries,
        })
    };
    let directories: Vec<_> = directories.into_iter().map(directory).collect();
    let dbus = UnitName::parse(b"dbus-org.x.service").unwrap();
    let units = UnitSet::new(&directories).units(
        &[(dbus, "D-Bus".into())],
        &[
            running("by-hand@x.service", true),
            running("again.service", false),
            running("over.service", false),
            running("hand.timer", true),
        ],
    );
    let show = |unit: Unit| {
        let user = unit.settings.user.map_or_else(String::new, |user| {
            let file = unit.files[user.file].display();
            format!("{}({file}:{})", user.value.escape_ascii(), user.line)
        });
        let own = if unit.is_own { "own " } else { "" };
        let name = unit.name.as_bytes().escape_ascii().to_string();
        let started = unit.started.map_or_else(String::new, |started| {
            let by_timer = if started.by_timer { " (timer)" } else { "" };
            format!("{}{by_timer}", started.how)
        });
        format!("{own}{name} {user} {started}")
    };
    units.into_iter().map(show).collect()
}

const ALICE: &str = "[Service]\nUser=alice\n";

#[test]
fn files_drop_ins_and_what_starts_them() {
    let etc = vec![
        unit("enabled.service", ALICE),
        unit("over.service", "[Service]\n\nUser=bob"),
        link("masked.service", "/dev/null", None),
        unit("empty.service", ""),
        link("linked.service", "linked.service", Some(ALICE)),
        link("alias.service", "vendor.service", None),
        drop_in("vendor.service.d", "20.conf", ALICE),
        drop_in("alias.service.d", "10.conf", "[Service]\nUser=carol"),
        drop_in("pre-.service.d", "x.conf", ALICE),
        starts("multi-user.target", "enabled.service"),
        starts("multi-user.target", "app@alice.service"),
        starts("multi-user.target", "gone.service"),
        starts("timers.target", "job.timer"),
        starts("sockets.target", "in.socket"),
        starts("never.service", "idle.service"),
    ];
    let lib = vec![
        unit("over.service", ALICE),
        unit("masked.service", ALICE),
        unit("empty.service", ALICE),
        unit("vendor.service", "[Unit]\nWants=dep.service x.mount\n"),
        unit("dep.service", ""),
        unit("x.mount", "[Mount]\n"),
        unit("app@.service", "[Service]\nUser=%i\n"),
        unit("job.timer", "[Timer]\n"),
        unit("job.service", ALICE),
        unit("in.socket", "[Socket]\nAccept=yes\n"),
        unit("in@.service", ALICE),
        unit("off.timer", "[Timer]\nUnit=idle.service\n"),
        unit("idle.service", ALICE),
        unit("pre-x.service", "[Service]"),
        unit("other@.service", ALICE),
        link("dbus-org.x.service", "vendor.service", None),
        drop_in("vendor.service.d", "20.conf", "[Service]\nUser=overridden"),
    ];
    assert_eq!(
        show(vec![("/etc", etc), ("/lib", lib)]),
        [
            "own app@alice.service %i(/lib/app@.service:2) enabled for multi-user.target in /etc",
            "own enabled.service alice(/etc/enabled.service:2) enabled for multi-user.target in /etc",
            "idle.service alice(/lib/idle.service:2) ",
            "own in.socket  enabled for sockets.target in /etc",
            "in@connection.service alice(/lib/in@.service:2) started by in.socket",
            "job.service alice(/lib/job.service:2) started by job.timer (timer)",
            "own linked.service alice(/etc/linked.service:2) ",
            "own over.service bob(/etc/over.service:3) ",
            "own pre-x.service alice(/etc/pre-.service.d/x.conf:2) ",
            "own vendor.service alice(/etc/vendor.service.d/20.conf:2) D-Bus",
            "own x.mount  started by vendor.service",
        ]
    );
}

#[test]
fn loops_of_aliases_and_starts_end() {
    let etc = vec![
        link("a.service", "b.service", None),
        link("b.service", "a.service", None),
        unit("c.service", "[Unit]\nWants=d.service"),
        unit("d.service", "[Unit]\nWants=c.service"),
        starts("x.target", "c.service"),
        starts("x.target", "a.service"),
    ];
    assert_eq!(
        show(vec![("/etc", etc)]),
        [
            "own c.service  enabled for x.target in /etc",
            "own d.service  started by c.service",
        ]
    );
}

#[test]
fn what_was_started_by_hand_is_started() {
    let service = "[Service]\nExecStart=/x\nUser=alice\n";
    let shown = show(vec![(
        "/lib",
        vec![
            unit("by-hand@.service", service),
            unit("again.service", &format!("{service}Restart=on-failure\n")),
            unit(
                "over.service",
                &format!("{service}Restart=always\nRestart=no\n"),
            ),
            unit("hand.timer", "[Timer]\nOnBootSec=1\n"),
            unit("hand.service", service),
        ],
    )]);
    assert_eq!(
        shown,
        [
            "again.service alice(/lib/again.service:3) started by hand, and it restarts by itself",
            "by-hand@x.service alice(/lib/by-hand@.service:3) started by hand",
            "hand.service alice(/lib/hand.service:3) started by hand.timer (timer)",
            "over.service alice(/lib/over.service:3) ",
        ]
    );
}
