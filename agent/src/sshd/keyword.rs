//! The keywords of sshd_config(5): which exist, where they may stand, how their values are written.

use super::release::Release;

/// A keyword whose value decides who gets in, or that structures the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(
    missing_docs,
    reason = "each is the keyword of that name in sshd_config(5)"
)]
pub enum Keyword {
    Match,
    Include,
    UsePam,
    PamServiceName,
    Port,
    PermitRootLogin,
    PubkeyAuthentication,
    PubkeyAcceptedAlgorithms,
    CaSignatureAlgorithms,
    RequiredRsaSize,
    PasswordAuthentication,
    KbdInteractiveAuthentication,
    /// Its own setting until 8.6; an alias of the one above from 8.7 on.
    ChallengeResponseAuthentication,
    PermitEmptyPasswords,
    HostbasedAuthentication,
    IgnoreRhosts,
    IgnoreUserKnownHosts,
    GssapiAuthentication,
    KerberosAuthentication,
    StrictModes,
    AllowUsers,
    DenyUsers,
    AllowGroups,
    DenyGroups,
    AuthorizedKeysFile,
    AuthorizedKeysCommand,
    AuthorizedKeysCommandUser,
    AuthorizedPrincipalsFile,
    AuthorizedPrincipalsCommand,
    AuthorizedPrincipalsCommandUser,
    TrustedUserCaKeys,
    RevokedKeys,
    AuthenticationMethods,
    ChrootDirectory,
    ForceCommand,
    PermitUserRc,
    RefuseConnection,
    /// What is written down of logins.
    LogLevel,
    /// By which digest the log names keys.
    FingerprintHash,
    /// Known to sshd, but it opens and closes nothing.
    Other,
}

/// Where a keyword may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Only before the first `Match`.
    Global,
    /// Anywhere.
    Anywhere,
}

/// How the value of a keyword is written, and which of several settings wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One of a few words, without regard to case; the first setting wins.
    Choice(&'static [&'static str]),
    /// One word; the first setting wins.
    Word,
    /// One whole number; the first setting wins.
    Number,
    /// One word, the name of a file that is made absolute; the first setting wins.
    FileName,
    /// The rest of the line as it stands; the first setting wins.
    RestOfLine,
    /// The rest of the line: an absolute path with arguments, or `none`; the first setting wins.
    Command,
    /// One or more words; the first setting wins.
    Words,
    /// Words that add to those of earlier settings.
    MoreWords,
    /// Words that are not looked at.
    Unread,
}

const YES_NO: Form = Form::Choice(&["yes", "no"]);

impl Keyword {
    /// The keyword a word stands for in this release, and where it may stand; `None` where sshd would refuse it.
    pub fn lookup(word: &[u8], release: &Release) -> Option<(Self, Scope)> {
        use Keyword as K;
        use Scope::{Anywhere, Global};
        let word = std::str::from_utf8(word).ok()?.to_ascii_lowercase();
        let since = |major, minor| release.at_least(major, minor);
        Some(match word.as_str() {
            "match" => (K::Match, Anywhere),
            "include" => (K::Include, Anywhere),
            "usepam" => (K::UsePam, Global),
            "pamservicename" if since(9, 8) => (K::PamServiceName, Anywhere),
            "port" => (K::Port, Global),
            "permitrootlogin" => (K::PermitRootLogin, Anywhere),
            "pubkeyauthentication" => (K::PubkeyAuthentication, Anywhere),
            "dsaauthentication" => (K::PubkeyAuthentication, Global),
            "pubkeyacceptedkeytypes" => (K::PubkeyAcceptedAlgorithms, Anywhere),
            "pubkeyacceptedalgorithms" if since(8, 5) => (K::PubkeyAcceptedAlgorithms, Anywhere),
            "casignaturealgorithms" => (K::CaSignatureAlgorithms, Anywhere),
            "requiredrsasize" if since(9, 1) => (K::RequiredRsaSize, Anywhere),
            "passwordauthentication" => (K::PasswordAuthentication, Anywhere),
            "kbdinteractiveauthentication" => (K::KbdInteractiveAuthentication, Anywhere),
            "challengeresponseauthentication" | "skeyauthentication" if since(8, 7) => {
                (K::KbdInteractiveAuthentication, Anywhere)
            }
            "challengeresponseauthentication" => (K::ChallengeResponseAuthentication, Global),
            "permitemptypasswords" => (K::PermitEmptyPasswords, Anywhere),
            "hostbasedauthentication" => (K::HostbasedAuthentication, Anywhere),
            "ignorerhosts" => (K::IgnoreRhosts, Anywhere),
            "ignoreuserknownhosts" => (K::IgnoreUserKnownHosts, Global),
            "gssapiauthentication" => (K::GssapiAuthentication, Anywhere),
            "kerberosauthentication" => (K::KerberosAuthentication, Anywhere),
            "strictmodes" => (K::StrictModes, Global),
            "allowusers" => (K::AllowUsers, Anywhere),
            "denyusers" => (K::DenyUsers, Anywhere),
            "allowgroups" => (K::AllowGroups, Anywhere),
            "denygroups" => (K::DenyGroups, Anywhere),
            "authorizedkeysfile" => (K::AuthorizedKeysFile, Anywhere),
            "authorizedkeyscommand" => (K::AuthorizedKeysCommand, Anywhere),
            "authorizedkeyscommanduser" => (K::AuthorizedKeysCommandUser, Anywhere),
            "authorizedprincipalsfile" => (K::AuthorizedPrincipalsFile, Anywhere),
            "authorizedprincipalscommand" => (K::AuthorizedPrincipalsCommand, Anywhere),
            "authorizedprincipalscommanduser" => (K::AuthorizedPrincipalsCommandUser, Anywhere),
            "trustedusercakeys" => (K::TrustedUserCaKeys, Anywhere),
            "revokedkeys" => (K::RevokedKeys, Anywhere),
            "authenticationmethods" => (K::AuthenticationMethods, Anywhere),
            "chrootdirectory" => (K::ChrootDirectory, Anywhere),
            "forcecommand" => (K::ForceCommand, Anywhere),
            "permituserrc" => (K::PermitUserRc, Anywhere),
            "refuseconnection" if since(9, 9) => (K::RefuseConnection, Anywhere),
            "loglevel" => (K::LogLevel, Anywhere),
            "fingerprinthash" => (K::FingerprintHash, Global),
            "subsystem" if since(9, 5) => (K::Other, Anywhere),
            other if OTHER_ANYWHERE.contains(&other) => (K::Other, Anywhere),
            other if OTHER_GLOBAL.contains(&other) => (K::Other, Global),
            _ => return None,
        })
    }

    /// How its value is written.
    pub const fn form(self) -> Form {
        use Keyword as K;
        match self {
            K::PermitRootLogin => Form::Choice(&[
                "yes",
                "no",
                "prohibit-password",
                "without-password",
                "forced-commands-only",
            ]),
            K::LogLevel => Form::Choice(&[
                "silent", "quiet", "fatal", "error", "info", "verbose", "debug", "debug1",
                "debug2", "debug3",
            ]),
            K::FingerprintHash => Form::Choice(&["md5", "sha1", "sha256", "sha384", "sha512"]),
            K::IgnoreRhosts => Form::Choice(&["yes", "no", "shosts-only"]),
            K::UsePam
            | K::PubkeyAuthentication
            | K::PasswordAuthentication
            | K::KbdInteractiveAuthentication
            | K::ChallengeResponseAuthentication
            | K::PermitEmptyPasswords
            | K::HostbasedAuthentication
            | K::IgnoreUserKnownHosts
            | K::GssapiAuthentication
            | K::StrictModes
            | K::PermitUserRc
            | K::RefuseConnection => YES_NO,
            // Builds without Kerberos ignore it, whatever it says.
            K::KerberosAuthentication => Form::Words,
            K::RequiredRsaSize => Form::Number,
            K::PubkeyAcceptedAlgorithms
            | K::CaSignatureAlgorithms
            | K::AuthorizedKeysCommandUser
            | K::AuthorizedPrincipalsCommandUser
            | K::AuthorizedPrincipalsFile
            | K::ChrootDirectory
            | K::PamServiceName => Form::Word,
            K::TrustedUserCaKeys | K::RevokedKeys => Form::FileName,
            K::ForceCommand => Form::RestOfLine,
            K::AuthorizedKeysCommand | K::AuthorizedPrincipalsCommand => Form::Command,
            K::AuthorizedKeysFile | K::AuthenticationMethods => Form::Words,
            K::AllowUsers | K::DenyUsers | K::AllowGroups | K::DenyGroups | K::Port => {
                Form::MoreWords
            }
            K::Match | K::Include | K::Other => Form::Unread,
        }
    }

    /// Whether a value in a matching `Match` block takes the place of the global one (`copy_set_server_options`).
    pub const fn is_copied_from_match(self) -> bool {
        !matches!(
            self,
            Self::UsePam
                | Self::Port
                | Self::StrictModes
                | Self::ChallengeResponseAuthentication
                | Self::FingerprintHash
                | Self::Match
                | Self::Include
                | Self::Other
        )
    }
}

const OTHER_ANYWHERE: [&str; 35] = [
    "acceptenv",
    "allowagentforwarding",
    "allowstreamlocalforwarding",
    "allowtcpforwarding",
    "authorizedkeysfile2",
    "banner",
    "channeltimeout",
    "clientalivecountmax",
    "clientaliveinterval",
    "disableforwarding",
    "exposeauthinfo",
    "gatewayports",
    "hostbasedacceptedalgorithms",
    "hostbasedacceptedkeytypes",
    "hostbasedusesnamefrompacketonly",
    "ipqos",
    "logverbose",
    "maxauthtries",
    "maxsessions",
    "permitlisten",
    "permitopen",
    "permittty",
    "permittunnel",
    "pubkeyauthoptions",
    "rdomain",
    "rekeylimit",
    "rhostsrsaauthentication",
    "rsaauthentication",
    "setenv",
    "streamlocalbindmask",
    "streamlocalbindunlink",
    "unusedconnectiontimeout",
    "x11displayoffset",
    "x11forwarding",
    "x11uselocalhost",
];

const OTHER_GLOBAL: [&str; 57] = [
    "addressfamily",
    "afstokenpassing",
    "checkmail",
    "ciphers",
    "compression",
    "debianbanner",
    "gssapicleanupcredentials",
    "gssapicleanupcreds",
    "gssapikexalgorithms",
    "gssapikeyexchange",
    "gssapistorecredentialsonrekey",
    "gssapistrictacceptorcheck",
    "gssapiusesessioncredcache",
    "gssusesessionccache",
    "hostcertificate",
    "hostdsakey",
    "hostkey",
    "hostkeyagent",
    "hostkeyalgorithms",
    "keepalive",
    "kerberosgetafstoken",
    "kerberosorlocalpasswd",
    "kerberostgtpassing",
    "kerberosticketcleanup",
    "kexalgorithms",
    "keyregenerationinterval",
    "listenaddress",
    "logingracetime",
    "macs",
    "maxstartups",
    "modulifile",
    "pamauthenticationviakbdint",
    "permitblacklistedkeys",
    "permituserenvironment",
    "persourcemaxstartups",
    "persourcenetblocksize",
    "persourcepenalties",
    "persourcepenaltyexemptlist",
    "pidfile",
    "printlastlog",
    "printmotd",
    "protocol",
    "reversemappingcheck",
    "rhostsauthentication",
    "securitykeyprovider",
    "serverkeybits",
    "skeyauthentication",
    "sshdauthpath",
    "sshdsessionpath",
    "subsystem",
    "syslogfacility",
    "tcpkeepalive",
    "usedns",
    "uselogin",
    "useprivilegeseparation",
    "verifyreversemapping",
    "versionaddendum",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_by_release() {
        let look = |word: &str, release: &Release| Keyword::lookup(word.as_bytes(), release);
        let (old, new) = (
            &"OpenSSH_8.4p1".parse().unwrap(),
            &"OpenSSH_10.0p2".parse().unwrap(),
        );
        assert_eq!(
            look("PERMITROOTLOGIN", old),
            Some((Keyword::PermitRootLogin, Scope::Anywhere))
        );
        assert_eq!(look("PubkeyAcceptedAlgorithms", old), None);
        assert_eq!(
            look("pubkeyacceptedkeytypes", new),
            Some((Keyword::PubkeyAcceptedAlgorithms, Scope::Anywhere))
        );
        assert_eq!(
            look("ChallengeResponseAuthentication", new),
            Some((Keyword::KbdInteractiveAuthentication, Scope::Anywhere))
        );
        assert_eq!(
            look("ChallengeResponseAuthentication", old),
            Some((Keyword::ChallengeResponseAuthentication, Scope::Global))
        );
        assert_eq!(
            look("Subsystem", old),
            Some((Keyword::Other, Scope::Global))
        );
        assert_eq!(
            look("Subsystem", new),
            Some((Keyword::Other, Scope::Anywhere))
        );
        assert_eq!(look("PermitRootLogins", new), None);
    }
}
