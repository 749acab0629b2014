//! Configurations of sshd: `Match` blocks, files that are included, and what decides who gets in.

use rescind_agent::sshd::release::Release;

use super::nodes::Node;
use super::random::Random;

/// Settings for anywhere.
const SETTINGS: [&str; 51] = [
    "AuthorizedKeysFile .ssh/authorized_keys /srv/keys/%u",
    "AuthorizedKeysFile /srv/keys/%u",
    "AuthorizedKeysFile none",
    "AuthorizedKeysFile %h/.ssh/authorized_keys2",
    "AuthorizedKeysFile keys .ssh/authorized_keys",
    "AuthorizedKeysFile /etc/ssh/keys/%u.pub %h/.config/ssh/keys",
    "AuthorizedKeysFile /srv/by-uid/%U .ssh/authorized_keys",
    "AuthorizedKeysFile none .ssh/authorized_keys",
    "AllowUsers alice root@{us} bob@10.0.0.0/8",
    "AllowUsers *@10.77.0.0/16",
    "AllowUsers !alice *",
    "AllowUsers alice@{other} bob root",
    "DenyUsers bob",
    "DenyUsers *@!{us},10.77.*",
    "DenyUsers root@{other}",
    "AllowGroups admins root",
    "AllowGroups alice bob root",
    "DenyGroups b?b",
    "DenyGroups nogroup !admins",
    "PubkeyAuthentication no",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PermitEmptyPasswords yes",
    "PubkeyAcceptedKeyTypes +ssh-rsa",
    "PubkeyAcceptedKeyTypes -*rsa*",
    "PubkeyAcceptedKeyTypes ssh-ed25519,ecdsa-*",
    "PubkeyAcceptedKeyTypes ssh-rsa",
    "PubkeyAcceptedKeyTypes ^*cert*",
    "PubkeyAcceptedKeyTypes +ssh-dss,ssh-rsa",
    "AuthenticationMethods publickey",
    "AuthenticationMethods publickey password",
    "AuthenticationMethods any",
    "RevokedKeys /etc/ssh/revoked",
    "RevokedKeys /etc/ssh/revoked.krl",
    "RevokedKeys /etc/ssh/revoked-sums.krl",
    "RevokedKeys /etc/ssh/revoked-ca.krl",
    "RevokedKeys /etc/ssh/revoked-half",
    "RevokedKeys none",
    "RevokedKeys /nowhere",
    "TrustedUserCAKeys /etc/ssh/ca.pub",
    "TrustedUserCAKeys /etc/ssh/ca.pub\nAuthorizedPrincipalsFile /srv/principals/%u",
    "TrustedUserCAKeys /etc/ssh/ca.pub\nAuthorizedPrincipalsFile none",
    "PermitRootLogin yes",
    "PermitRootLogin prohibit-password",
    "PermitRootLogin forced-commands-only",
    "ForceCommand true",
    "ForceCommand internal-sftp",
    "ChrootDirectory none",
    "DisableForwarding yes",
    "PermitTTY no",
    "MaxAuthTries 4",
];

const CRITERIA: [&str; 20] = [
    "User alice",
    "User *,!alice",
    "User bob,root",
    "User a*",
    "Group admins",
    "Group *,!root",
    "Group root,bob",
    "Address {us}",
    "Address {other}",
    "Address 10.0.0.0/8,!{other}",
    "Address 192.0.2.0/24",
    "LocalPort 22",
    "LocalPort 2222",
    "Host 10.77.*",
    "Host *.example.com",
    "User bob,root LocalAddress {host}",
    "Group admins LocalPort 2222",
    "User alice Address {us}",
    "LocalAddress 10.77.0.0/16,!{host}",
    "all",
];

/// The files of one configuration; its main file is the last.
pub fn generate(random: &mut Random, release: &Release) -> Vec<Node> {
    let mut nodes = vec![
        Node::directory("/etc/ssh/sshd_config.d"),
        Node::directory("/etc/ssh/more"),
    ];
    let mut writer = Writer {
        random,
        release,
        nodes: &mut nodes,
    };
    let text = writer.main();
    nodes.push(Node::file("/etc/ssh/sshd_config", text));
    nodes
}

struct Writer<'a> {
    random: &'a mut Random,
    release: &'a Release,
    nodes: &'a mut Vec<Node>,
}

impl Writer<'_> {
    fn main(&mut self) -> String {
        let mut text = String::from(
            "AddressFamily inet\nPort 22\nPort 2222\nUseDNS no\nMaxStartups 1000\nLoginGraceTime 60\n",
        );
        if self.release.at_least(9, 8) {
            text.push_str("PerSourcePenalties no\n");
        }
        if self.random.chance(50) {
            let inside = self.some(1);
            self.included("/etc/ssh/sshd_config.d", &inside);
            text.push_str("Include /etc/ssh/sshd_config.d/*.conf\n");
        }
        let uses = [
            "UsePAM yes\n",
            "UsePAM yes\n",
            "UsePAM yes\n",
            "UsePAM no\n",
        ];
        text.push_str(self.random.pick(&uses));
        text.push_str(self.random.pick(&["", "", "", "StrictModes no\n"]));
        text.push_str(self.random.pick(&[
            "PermitRootLogin yes\n",
            "PermitRootLogin yes\n",
            "",
            "PermitRootLogin forced-commands-only\n",
            "PermitRootLogin no\n",
        ]));
        let global = self.some(0);
        text.push_str(&global);
        for block in 0..self.random.below(3) {
            let criteria = self.criteria();
            text.push_str(&format!("Match {criteria}\n"));
            let inside = self.some(1);
            if self.random.chance(30) {
                // Relative, and inside of the block.
                self.included(&format!("/etc/ssh/more/{block}"), &inside);
                text.push_str(&format!("Include more/{block}/[0-9]*.conf\n"));
            } else {
                text.push_str(&inside);
            }
        }
        text
    }

    /// One to three settings, or none.
    fn some(&mut self, least: usize) -> String {
        let mut text = String::new();
        for _ in 0..least + self.random.below(2) {
            text.push_str(self.random.pick(&SETTINGS));
            text.push('\n');
        }
        if self.release.at_least(9, 1) && self.random.chance(8) {
            text.push_str("RequiredRSASize 3072\n");
        }
        if self.release.at_least(9, 9) && self.random.chance(4) {
            text.push_str("RefuseConnection yes\n");
        }
        text
    }

    fn criteria(&mut self) -> &'static str {
        let newer = ["invalid-user", "Version OpenSSH_1*", "User=alice"];
        if self.release.at_least(9, 9) && self.random.chance(10) {
            return newer[self.random.below(newer.len())];
        }
        CRITERIA[self.random.below(CRITERIA.len())]
    }

    /// A directory with a file for the pattern `[0-9]*.conf`, and others that are not for it.
    fn included(&mut self, directory: &str, text: &str) {
        let mut text = text.to_owned();
        if self.random.chance(40) {
            // The block ends with the file.
            text = format!("{text}Match {}\n{}", self.criteria(), self.some(1));
        }
        let never = "DenyUsers *\n";
        self.nodes.push(Node::directory(directory));
        for (name, text) in [
            ("10-site.conf", text.as_str()),
            (".hidden.conf", never),
            ("10-site.conf~", never),
        ] {
            self.nodes
                .push(Node::file(&format!("{directory}/{name}"), text));
        }
    }
}
