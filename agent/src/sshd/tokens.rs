//! `%h`, `%u`, `%U` in file names (`expand_authorized_keys` of auth.c).

/// The longest path sshd makes (PATH_MAX).
const PATH_BYTES_MAX: usize = 4096;

/// sshd gives up on the login: a token it does not know here, or a path that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sshd cannot expand the file name: an unknown % token, or too long")]
pub struct BadTemplate;

/// The file a template names for an account; what is not absolute lies under its home.
pub fn expand(template: &[u8], name: &[u8], uid: u32, home: &[u8]) -> Result<Vec<u8>, BadTemplate> {
    let mut path = percent_expand(template, name, uid, home)?;
    if !path.starts_with(b"/") {
        path = [home, b"/", &path].concat();
    }
    if path.len() < PATH_BYTES_MAX {
        Ok(path)
    } else {
        Err(BadTemplate)
    }
}

/// `percent_expand` with the tokens of file names.
pub fn percent_expand(
    template: &[u8],
    name: &[u8],
    uid: u32,
    home: &[u8],
) -> Result<Vec<u8>, BadTemplate> {
    let mut path = Vec::with_capacity(template.len() + home.len());
    let mut bytes = template.iter();
    while let Some(&byte) = bytes.next() {
        if path.len() >= PATH_BYTES_MAX {
            return Err(BadTemplate);
        }
        if byte != b'%' {
            path.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'%') => path.push(b'%'),
            Some(b'h') => path.extend_from_slice(home),
            Some(b'u') => path.extend_from_slice(name),
            Some(b'U') => path.extend_from_slice(uid.to_string().as_bytes()),
            _ => return Err(BadTemplate),
        }
    }
    Ok(path)
}

/// Whether a template names another file for each account.
pub fn is_per_account(template: &[u8]) -> bool {
    let mut bytes = template.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'%' && matches!(bytes.next(), Some(b'h' | b'u' | b'U')) {
            return true;
        }
    }
    !template.starts_with(b"/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        for (template, path) in [
            (".ssh/authorized_keys", "/home/alice/.ssh/authorized_keys"),
            ("%h/.ssh/keys", "/home/alice/.ssh/keys"),
            ("/etc/ssh/keys/%u", "/etc/ssh/keys/alice"),
            ("/etc/ssh/keys/%U/100%%", "/etc/ssh/keys/1000/100%"),
            ("/etc/ssh/everybody", "/etc/ssh/everybody"),
            ("%u", "/home/alice/alice"),
        ] {
            let expanded = expand(template.as_bytes(), b"alice", 1000, b"/home/alice").unwrap();
            assert_eq!(String::from_utf8(expanded).unwrap(), path);
            assert_eq!(
                is_per_account(template.as_bytes()),
                template != "/etc/ssh/everybody"
            );
        }
        assert_eq!(expand(b"/x/%f", b"alice", 1, b"/"), Err(BadTemplate));
        assert_eq!(expand(b"/x/%", b"alice", 1, b"/"), Err(BadTemplate));
        assert!(!is_per_account(b"/a%%u"));
        let long = "/%h".repeat(300_000);
        let home = vec![b'x'; 4000];
        assert_eq!(
            expand(long.as_bytes(), b"alice", 1, &home),
            Err(BadTemplate)
        );
    }
}
