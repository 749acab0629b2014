//! What the host says of itself: its name, its os-release(5).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rescind_protocol::name::HostName;

/// The longest operating system name that is reported, in bytes.
const OS_NAME_BYTES_MAX: usize = 128;

/// The host's name: the running kernel's where the root directory is `/`, else that of
/// hostname(5). `None` when it is not fit to be one.
pub fn host_name(root: &Path) -> Option<HostName> {
    let path = if root == Path::new("/") {
        Path::new("/proc/sys/kernel/hostname").to_owned()
    } else {
        root.join("etc/hostname")
    };
    let text = read(&path).ok()?;
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'))?;
    line.parse().ok()
}

/// `PRETTY_NAME` of os-release(5) beneath a root directory, `unknown` where there is none.
pub fn os_name(root: &Path) -> String {
    ["etc/os-release", "usr/lib/os-release"]
        .iter()
        .find_map(|path| pretty_name(&read(&root.join(path)).ok()?))
        .unwrap_or_else(|| "unknown".to_owned())
}

fn pretty_name(os_release: &str) -> Option<String> {
    let value = os_release
        .lines()
        .find_map(|line| line.trim().strip_prefix("PRETTY_NAME="))?
        .trim_matches(['"', '\'']);
    let mut name: String = value.chars().filter(|c| !c.is_control()).collect();
    while name.len() > OS_NAME_BYTES_MAX {
        name.pop();
    }
    (!name.is_empty()).then_some(name)
}

/// At most 16 KiB of a small text file.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(16 << 10).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operating_system_is_named_as_it_names_itself() {
        let debian = "NAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
        assert_eq!(
            pretty_name(debian).as_deref(),
            Some("Debian GNU/Linux 12 (bookworm)")
        );
        assert_eq!(pretty_name("PRETTY_NAME=\n"), None);
        assert_eq!(
            pretty_name("PRETTY_NAME=a\x1b[2J\n").as_deref(),
            Some("a[2J")
        );
        assert_eq!(os_name(Path::new("/nonexistent")), "unknown");
    }
}
