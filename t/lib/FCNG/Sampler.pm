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
use Time::HiRes qw(sleep time);

sub missing { find_tool('ss') ? undef : 'ss missing' }

# What ss lists was not all there at the same time: only what is in two lists
# surely was, between them.
sub connections {
    my ($class, $app) = @_;
    my %before;
    return $class->start(0, sub {
        my @now = peers($app);
        my $both = grep { $before{$_} } @now;
        %before = map { $_ => 1 } @now;
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
    my $pid = $self->{pid} = fork // die "fork: $!\n";
    if ($pid) {
        FCNG::Util::adopt($pid);
        return $self;
    }
    close_kept(-1);
    my $stop = 0;
    local $SIG{TERM} = sub { $stop = 1 };
    my ($most, $samples) = (0, 0);
    while (!$stop) {
        my $now = $code->();
        $most = $now if $now > $most;
        $samples++;
        sleep $pause if $pause;
    }
    spew($self->{file}, "$most $samples");
    POSIX::_exit(0);
}

sub stop {
    my ($self) = @_;
    FCNG::Util::end_child($self->{pid}, 'TERM');
    return split / /, slurp($self->{file});
}

# The server's ends of connections to an application: inodes for a Unix
# socket, ports for TCP.  One that the server has closed does not count,
# whatever the application still has to do.
sub peers {
    my ($app) = @_;
    my ($path) = $app->address =~ /^unix:(.*)/;
    my ($port) = $app->address =~ /:(\d+)$/;
    my @filter = defined $path ? ('-xnH', 'state', 'established')
        : ('-tnH', 'state', 'established', 'dport', '=', ":$port");
    open my $in, '-|', find_tool('ss'), @filter or die "ss: $!\n";
    my @peers;
    while (my $line = <$in>) {
        if (!defined $path) {
            push @peers, $1 if $line =~ /:(\d+)\s+\S+:$port\b/;
        }
        elsif ($line =~ /\s\Q$path\E\s+\d+\s+\*\s+(\d+)/ && $1 != 0) {
            push @peers, $1;
        }
    }
    close $in;
    return @peers;
}

1;
