//! nsswitch.conf(5): who serves accounts and groups besides the host's own files. Pure.

/// The services that a database is asked of besides the host's own files, in their order.
///
/// Without the file, and without a line for the database, glibc asks the files. `systemd` is not
/// told: what it serves besides users of its own lies in files, see `USERDB`.
pub fn beyond_files(nsswitch: Option<&[u8]>, database: &str) -> Vec<String> {
    let services = line_of(nsswitch, database).unwrap_or_default();
    let text = String::from_utf8_lossy(services);
    let words = text.split_ascii_whitespace();
    let local = ["files", "compat", "systemd", "db"];
    words
        .filter(|word| !local.contains(word) && !word.contains(['[', ']', '=']))
        .map(|word| word.escape_default().to_string())
        .collect()
}

/// The same for the groups of an account: without a line for `initgroups` it is as for `group`.
pub fn beyond_files_for_groups(nsswitch: Option<&[u8]>) -> Vec<String> {
    match line_of(nsswitch, "initgroups") {
        Some(_) => beyond_files(nsswitch, "initgroups"),
        None => beyond_files(nsswitch, "group"),
    }
}

/// Where systemd-userdbd(8) finds accounts and memberships.
pub const USERDB: [&str; 4] = [
    "/etc/userdb",
    "/run/userdb",
    "/usr/local/lib/userdb",
    "/usr/lib/userdb",
];

/// The lines of a settings file, without comments and blanks around them.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').map(|line| {
        let code = line.split(|byte| *byte == b'#').next();
        code.unwrap_or_default().trim_ascii()
    })
}

fn line_of<'a>(nsswitch: Option<&'a [u8]>, database: &str) -> Option<&'a [u8]> {
    let mut lines = lines(nsswitch.unwrap_or_default());
    lines.find_map(|line| {
        let rest = line.strip_prefix(database.as_bytes())?;
        rest.trim_ascii_start().strip_prefix(b":")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_besides_the_files() {
        for (text, want) in [
            ("", ""),
            ("group: files systemd\n", ""),
            (
                "passwd: files sss\ngroup:\tfiles [SUCCESS=merge] systemd\n",
                "",
            ),
            ("group: files sss # ldap\n", "sss"),
            ("group : compat winbind ldap", "winbind ldap"),
            ("group: files sss\ninitgroups: files\n", ""),
            ("#group: sss\n", ""),
        ] {
            let found = beyond_files_for_groups(Some(text.as_bytes()));
            assert_eq!(found.join(" "), want, "{text}");
        }
        assert!(beyond_files(None, "passwd").is_empty());
        assert_eq!(beyond_files(Some(b"passwd: files sss"), "passwd"), ["sss"]);
    }
}
