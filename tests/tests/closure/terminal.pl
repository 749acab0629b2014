# Runs a command at a terminal and types, each text when the prompt before it has come, and shows
# what was seen: COMMAND [PROMPT TEXT]...
#
# script(1) does not do: login(1) of util-linux hangs its terminal up before it opens it again, and
# script takes that for the end.
use strict;
use POSIX qw(:errno_h :fcntl_h setsid);

my $command = shift @ARGV;
my $until = time + 20;
sysopen my $master, '/dev/ptmx', O_RDWR | O_NOCTTY | O_NONBLOCK or die "ptmx: $!";
my $number = pack 'i', 0;
ioctl $master, 0x40045431, $number or die "TIOCSPTLCK: $!";
ioctl $master, 0x80045430, $number or die "TIOCGPTN: $!";
my $name = '/dev/pts/' . unpack 'i', $number;

my $child = fork // die "fork: $!";
if ($child == 0) {
    setsid;
    # The first that a session opens becomes its own.
    sysopen my $slave, $name, O_RDWR or die "$name: $!";
    open $_->[0], $_->[1], $slave or die "dup: $!"
        for [\*STDIN, '<&'], [\*STDOUT, '>&'], [\*STDERR, '>&'];
    exec '/bin/sh', '-c', "exec $command";
}

my ($seen, $since) = ('', '');
while (time < $until) {
    my $read = sysread $master, my $bytes, 4096;
    if ($read) {
        $seen .= $bytes;
        $since .= $bytes;
    } else {
        # EIO: nobody has it open at the moment.
        last if waitpid($child, 1) == $child;
        select undef, undef, undef, 0.05;
    }
    # Whoever is refused is asked for nothing more.
    last if $seen =~ /incorrect|expired|denied/;
    if (@ARGV && index($since, $ARGV[0]) >= 0) {
        my (undef, $text) = splice @ARGV, 0, 2;
        $since = '';
        syswrite $master, "$text\n";
    }
}
kill 'KILL', $child;
print $seen;
