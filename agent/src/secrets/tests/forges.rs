//! Credentials of forges and registries.

use super::{home, system};

#[test]
fn forges_and_registries() {
    assert_eq!(
        home(
            ".git-credentials",
            "https://alice:t0k@git.test\nhttps://ghp_16C7e42F292c6912E7710c838347Ae178B4a@github.com\nssh://git@h\n"
        ),
        [
            "git_credential git.test=t0k",
            "git_credential github.com=ghp_16C7e42F292c6912E7710c838347Ae178B4a"
        ]
    );
    assert_eq!(
        home(
            ".gitconfig",
            "[user]\n\tname = a\n[credential]\n\thelper = store --file /srv/creds\n[http \"https://git.test/\"]\n\
             \textraheader = Authorization: Basic YTpi\n[sendemail]\n\tsmtpPass = s3c\n"
        ),
        [
            "> /srv/creds",
            "git_credential git.test=YTpi",
            "mail_password sendemail=s3c"
        ]
    );
    assert_eq!(
        home(
            "app/.git/config",
            "[remote \"origin\"]\n\turl = https://oauth2:t0k@git.test/x.git\n"
        ),
        ["git_credential git.test=t0k"]
    );
    assert_eq!(
        home(
            ".config/gh/hosts.yml",
            "github.com:\n    users:\n        alice:\n            oauth_token: gho_x\n    user: alice\n"
        ),
        ["github_token github.com=gho_x"]
    );
    assert_eq!(
        home(
            ".config/hub",
            "github.com:\n- user: a\n  oauth_token: t0k\n"
        ),
        ["github_token github.com=t0k"]
    );
    assert_eq!(
        home(
            ".config/glab-cli/config.yml",
            "hosts:\n    gitlab.com:\n        token: glpat-x\n"
        ),
        ["gitlab_token gitlab.com=glpat-x"]
    );
    assert_eq!(
        system(
            "etc/gitlab-runner/config.toml",
            "concurrent = 1\n[[runners]]\n  name = \"r1\"\n  token = \"glrt-x\"\n"
        ),
        ["gitlab_token r1=glrt-x"]
    );
    assert_eq!(
        home(
            ".netrc",
            "# machine no login no password no\nmachine a.test login u password p1\nmachine b.test\n\tlogin u\n\tpassword p2\n\
             macdef init\npassword no\n\ndefault login anonymous password user@\n"
        ),
        [
            "netrc_password a.test=p1",
            "netrc_password b.test=p2",
            "netrc_password default=user@"
        ]
    );
    assert_eq!(
        home(
            ".npmrc",
            "registry=https://r.test/\n//r.test/:_authToken=npm_x\n//s.test/:_authToken=${NPM_TOKEN}\n_auth = YTpi\n"
        ),
        [
            "npm_token r.test=npm_x",
            "- npm_token s.test indirect",
            "npm_token =YTpi"
        ]
    );
    assert_eq!(
        home(
            ".yarnrc.yml",
            "npmRegistries:\n  \"//r.test\":\n    npmAuthToken: t0k\n"
        ),
        ["yarn_token r.test=t0k"]
    );
    assert_eq!(
        home(
            ".pypirc",
            "[distutils]\nindex-servers =\n    pypi\n[pypi]\nusername = __token__\npassword = pypi-x\n"
        ),
        ["pypi_password pypi=pypi-x"]
    );
    assert_eq!(
        home(
            ".config/pip/pip.conf",
            "[global]\nindex-url = https://u:p1@i.test/simple\nextra-index-url =\n  https://pypi.test\n  https://u:p2@j.test\n"
        ),
        [
            "pip_index_password i.test=p1",
            "pip_index_password j.test=p2"
        ]
    );
    assert_eq!(
        home(
            ".cargo/credentials.toml",
            "[registry]\ntoken = \"t0k\"\n[registries.mine]\ntoken = \"t1k\"\n"
        ),
        ["cargo_token crates-io=t0k", "cargo_token mine=t1k"]
    );
    assert_eq!(
        home(".gem/credentials", "---\n:rubygems_api_key: rubygems_x\n"),
        ["gem_key :rubygems_api_key=rubygems_x"]
    );
    assert_eq!(
        home(
            ".composer/auth.json",
            r#"{"http-basic":{"r.test":{"username":"u","password":"s3c"}},"github-oauth":{"github.com":"t0k"}}"#
        ),
        ["composer_auth r.test=s3c", "composer_auth github.com=t0k"]
    );
    assert_eq!(
        home(
            ".m2/settings.xml",
            "<settings><servers><server><id>a</id><password>s3c</password></server>\
             <server><id>b</id><password>{COQL=}</password></server></servers></settings>"
        ),
        ["maven_password a=s3c", "maven_password b={COQL=} sealed"]
    );
    assert_eq!(
        home(
            ".gradle/gradle.properties",
            "org.gradle.jvmargs=-Xmx2g\nmavenPassword=s3c\nsigning.keyId=AB\n"
        ),
        ["gradle_secret mavenPassword=s3c"]
    );
    assert_eq!(
        home(
            ".nuget/NuGet/NuGet.Config",
            "<configuration><packageSourceCredentials><Feed><add key=\"Username\" value=\"u\" />\
             <add key=\"ClearTextPassword\" value=\"s3c\" /></Feed></packageSourceCredentials></configuration>"
        ),
        ["nuget_password Feed=s3c"]
    );
    assert_eq!(
        home(
            ".bundle/config",
            "---\nBUNDLE_GEMS__TEST: \"u:s3c\"\nBUNDLE_JOBS: \"4\"\n"
        ),
        ["gem_key GEMS__TEST=s3c"]
    );
}
