# SPDX-License-Identifier: BSD-2-Clause
#
# Looks at something again and again while a test goes on, and keeps the
# largest number it saw.
#
#   my $sampler = FCNG::Sampler->connections($app);  # as ss shows them
#   my $delays = FCNG::Sampler->delays;  # this machine's own, in seconds
#   ...
#   my ($most, $samples) = $sampler->stop;
package FCNG::Sampler;

use strict;
use warnings;
use FCNG::Util qw(tmpdir slurp spew find_tool close_kept);
use POSIX ();
use Socket qw(AF_UNIX SOCK_RAW);
use Time::HiRes qw(sleep time);

sub missing { find_tool('ss') ? undef : 'ss missing' }

# What ss lists was not all there at the same time: only what is in two lists
# surely was, between them.
sub connections {
    my ($class, $app) = @_;
    my %before;
    return $class->start(0, sub {
        # One that was accepted meanwhile may be listed twice.
        my %now = map { $_ => 1 } peers($app);
        my $both = grep { $before{$_} } keys %now;
        %before = %now;
        return $both;
    });
}

# How much later than it wanted a process wakes up.
sub delays {
    my ($class) = @_;
    return $class->start(0, sub {
        my $from = time;
        sleep 0.005;
        return time - $from - 0.005;
    });
}

sub start {
    my ($class, $pause, $code) = @_;
    my $self = bless { file => tmpdir() . '/seen' }, $class;
    my $stop = 0;
    local $SIG{TERM} = sub { $stop = 1 };
    my $pid = $self->{pid} = fork // die "fork: $!\n";
    if ($pid) {
        FCNG::Util::adopt($pid);
        return $self;
    }
    close_kept(-1);
    my ($most, $samples) = (0, 0);
    # Whatever goes wrong: this process must not go on as the test.
    my $ended = eval {
        while (!$stop) {
            my $now = $code->();
            $most = $now if $now > $most;
            $samples++;
            sleep $pause if $pause;
        }
        1;
    };
    spew($self->{file}, $ended ? "$most $samples" : "died: $@");
    POSIX::_exit(0);
}

sub stop {
    my ($self) = @_;
    FCNG::Util::end_child($self->{pid}, 'TERM');
    my $said = slurp($self->{file});
    die "the sampler $said\n" if $said !~ /^[\d.e-]+ \d+$/;
    return split / /, $said;
}

# The server's ends of connections to an application: inodes for a Unix
# socket, ports for TCP.  One that the server has closed does not count,
# whatever the application still has to do; one that waits in the listen queue
# does.
sub peers {
    my ($app) = @_;
    my ($path) = $app->address =~ /^unix:(.*)/;
    return unix_peers($path) if defined $path;
    my ($port) = $app->address =~ /:(\d+)$/;
    open my $in, '-|', find_tool('ss'), '-tnH', 'state', 'established',
        'dport', '=', ":$port" or die "ss: $!\n";
    my @peers;
    while (my $line = <$in>) {
        push @peers, $1 if $line =~ /:(\d+)\s+\S+:$port\b/;
    }
    close $in;
    return @peers;
}

# As ss asks the kernel (sock_diag(7)), without starting it: two looks must
# follow each other faster than connections come and go.
my $diag;

sub unix_peers {
    my ($path) = @_;
    if (!$diag || $diag->{pid} != $$) {
        socket my $socket, 16, SOCK_RAW, 4 or die "sock_diag: $!\n";
        $diag = { pid => $$, socket => $socket };
    }
    # sock_diag by family, a dump: of connected ones name and peer, of
    # listening ones those that wait to be accepted, which are nowhere else.
    send $diag->{socket}, pack('LSSLL CCxxLLLLL', 40, 20, 0x301, 1, 0,
        AF_UNIX, 0, 1 << 1 | 1 << 10, 0, 13, 0, 0), 0 or die "sock_diag: $!\n";
    my @peers;
    while (1) {
        my $bytes;
        if (!defined recv $diag->{socket}, $bytes, 1 << 20, 0) {
            next if $!{EINTR}; # the end of sampling
            die "sock_diag: $!\n";
        }
        while (length $bytes >= 16) {
            my ($length, $type) = unpack 'LS', $bytes;
            return @peers if $type == 3;
            die "sock_diag: refused\n" if $type == 2;
            push @peers, unix_ends(substr($bytes, 16, $length - 16), $path);
            substr $bytes, 0, $length + 3 & ~3, '';
        }
    }
}

# The inodes of the other ends, if this one is the application's.
sub unix_ends {
    my ($message, $path) = @_;
    my ($at, %have) = 16;
    while ($at + 4 <= length $message) {
        my ($length, $type) = unpack 'SS', substr $message, $at, 4;
        $have{$type} = substr $message, $at + 4, $length - 4;
        $at += $length + 3 & ~3;
    }
    (my $name = $have{0} // '') =~ s/\0\z//;
    return $name ne $path ? () : grep { $_ }
        map { unpack 'L*', $have{$_} // '' } 2, 3;
}

1;
