use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use rescind_agent::host::root::{Distrust, ReadError};

use crate::host::{Host, chmod};

fn read(host: &Host, path: &str) -> Result<String, String> {
    match host.root.read(Path::new(path), 1000) {
        Ok(file) => Ok(format!(
            "{}: {}",
            file.path.display(),
            String::from_utf8_lossy(&file.bytes)
        )),
        Err(ReadError::Missing { .. }) => Err("missing".into()),
        Err(ReadError::NotRegular { kind, .. }) => Err(format!("{kind:?}")),
        Err(ReadError::TooLarge { .. }) => Err("too large".into()),
        Err(ReadError::Untrusted { component, why, .. }) => {
            let why = match why {
                Distrust::Owner(_) => "owner",
                Distrust::GroupWritable(_) => "group",
                Distrust::WorldWritable => "world",
            };
            Err(format!("{} {why}", component.display()))
        }
        Err(ReadError::Io { source, .. }) => Err(source.to_string()),
        Err(other) => Err(other.to_string()),
    }
}

#[test]
fn links_are_followed_inside_the_root_where_root_made_them() {
    let host = Host::new();
    host.write("/storage/deep/shadow", "s", 0o600);
    host.write("/outside", "o", 0o600);
    for (link, target) in [
        ("etc/abs", "/storage/deep/shadow"),
        ("etc/rel", "../storage/deep/./shadow"),
        ("etc/above", "../../../../outside"),
        ("etc/dir", "/storage/deep"),
        ("etc/chain", "dir/../deep/shadow"),
        ("etc/loop", "loop"),
        ("etc/dangling", "/nothing"),
    ] {
        symlink(target, host.dir.join(link)).unwrap();
    }
    for (path, want) in [
        ("/etc/abs", Ok("/storage/deep/shadow: s")),
        ("/etc/rel", Ok("/storage/deep/shadow: s")),
        ("/etc/above", Ok("/outside: o")),
        ("/etc/dir/shadow", Ok("/storage/deep/shadow: s")),
        ("/etc/chain", Ok("/storage/deep/shadow: s")),
        ("/etc/../../outside", Ok("/outside: o")),
        ("//etc//abs/", Ok("/storage/deep/shadow: s")),
        ("/etc/loop", Err("more than 40 symbolic links")),
        ("/etc/dangling", Err("missing")),
        ("/etc/dangling/more", Err("missing")),
        ("/no/such", Err("missing")),
        ("/outside/below", Err("not a directory")),
        ("/etc", Err("Directory")),
        ("/", Err("Directory")),
        ("/etc/..", Err("Directory")),
    ] {
        let want = want.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(read(&host, path), want, "{path}");
        // And where each directory is entered once.
        let keeping = host.root.keep_directories().unwrap();
        assert_eq!([(); 2].map(|()| read(&host, path)), [want.clone(), want]);
        drop(keeping);
    }
}

#[test]
fn one_reading_is_of_one_tree_and_the_next_of_the_next() {
    let host = Host::new();
    let put = |text| {
        host.write("/new/sub/name", text, 0o600);
        std::fs::rename(host.real("/new"), host.real("/dir")).unwrap();
    };
    put("first");
    let keeping = host.root.keep_directories().unwrap();
    let of = |text: &str| Ok(format!("/dir/sub/name: {text}"));
    assert_eq!(read(&host, "/dir/sub/name"), of("first"));
    // What stands in a directory is looked at each time.
    host.write("/dir/sub/name", "written", 0o600);
    assert_eq!(read(&host, "/dir/sub/name"), of("written"));
    std::fs::rename(host.real("/dir"), host.real("/old")).unwrap();
    put("second");
    assert_eq!(read(&host, "/dir/sub/name"), of("written"));
    drop(keeping);
    assert_eq!(read(&host, "/dir/sub/name"), of("second"));
}

#[test]
fn more_directories_than_are_kept_are_entered_all_the_same() {
    let host = Host::new();
    let path = |n| format!("/many/{n}/name");
    for n in 0..400 {
        host.write(&path(n), "x", 0o600);
    }
    let _keeping = host.root.keep_directories().unwrap();
    for n in 0..400 {
        assert_eq!(read(&host, &path(n)), Ok(format!("{}: x", path(n))));
    }
}

#[test]
fn links_that_others_could_have_made_are_not_followed() {
    let host = Host::new();
    host.write("/open/real", "x", 0o644);
    host.write("/sticky/real", "x", 0o644);
    symlink("real", host.real("/open/link")).unwrap();
    symlink("real", host.real("/sticky/link")).unwrap();
    symlink("/open/real", host.real("/etc/into")).unwrap();
    chmod(&host.real("/sticky"), 0o1777);
    chmod(&host.real("/open"), 0o777);
    assert_eq!(read(&host, "/open/link"), Err("/open world".into()));
    assert_eq!(read(&host, "/etc/into"), Err("/open world".into()));
    assert_eq!(
        read(&host, "/open/real"),
        Ok("/open/real: x".into()),
        "a plain file can be read"
    );
    assert_eq!(read(&host, "/sticky/link"), Ok("/sticky/real: x".into()));
}

#[test]
fn only_regular_files_of_a_sane_size_are_read() {
    let host = Host::new();
    let _socket = UnixListener::bind(host.real("/socket")).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(host.real("/fifo"))
            .status()
            .unwrap()
            .success()
    );
    host.write("/large", &"x".repeat(1001), 0o600);
    host.write("/fits", &"x".repeat(1000), 0o600);
    host.write("/empty", "", 0o600);
    assert_eq!(read(&host, "/socket"), Err("Socket".into()));
    assert_eq!(read(&host, "/fifo"), Err("Fifo".into()));
    assert_eq!(read(&host, "/large"), Err("too large".into()));
    assert_eq!(read(&host, "/fits").unwrap().len(), 1000 + "/fits: ".len());
    assert_eq!(read(&host, "/empty"), Ok("/empty: ".into()));
    let sparse = std::fs::File::create(host.real("/sparse")).unwrap();
    sparse.set_len(100 << 30).unwrap();
    assert_eq!(read(&host, "/sparse"), Err("too large".into()));
}

#[test]
fn a_directory_is_listed_sorted_and_up_to_a_limit() {
    let host = Host::new();
    for name in ["b", "a", ".c", "\u{fc}"] {
        host.write(&format!("/d/{name}"), "", 0o600);
    }
    let names = host.root.read_dir(Path::new("/d"), 4).unwrap();
    let names: Vec<_> = names.iter().map(|name| name.as_bytes()).collect();
    assert_eq!(names, [&b".c"[..], b"a", b"b", "\u{fc}".as_bytes()]);
    let too_many = host.root.read_dir(Path::new("/d"), 3);
    assert!(matches!(
        too_many,
        Err(ReadError::TooMany { max_entries: 3, .. })
    ));
    assert!(
        host.root
            .read_dir(Path::new("/none"), 3)
            .unwrap_err()
            .is_missing()
    );
    assert!(matches!(
        host.root.read_dir(Path::new("/d/a"), 3),
        Err(ReadError::NotRegular { .. })
    ));
    assert!(
        host.root
            .read_dir(Path::new("/"), 9)
            .unwrap()
            .contains(&"etc".into())
    );
    assert!(!host.root.is_live());
    assert!(host.root.exists(Path::new("/d/a")).unwrap());
    assert!(!host.root.exists(Path::new("/d/x")).unwrap());
}
