# SPDX-License-Identifier: BSD-2-Clause
#
# Clients that keep asking while a test does something else.
#
#   my $load = FCNG::Load->start(8, sub { my ($n) = @_; ...; return $fault });
#   ... reload ...
#   my ($count, @faults) = $load->stop;
#
# The code runs again and again in each of so many processes; what it returns
# is a fault to report, or the empty string.
package FCNG::Load;

use strict;
use warnings;
use FCNG::Util qw(tmpdir slurp spew wait_until close_kept);
use POSIX ();
use Time::HiRes qw(time);

sub start {
    my ($class, $clients, $code, %how) = @_;
    my $self = bless { dir => tmpdir(), pids => [] }, $class;
    my $until = time + ($how{seconds} // 60);
    for my $n (1 .. $clients) {
        my $pid = fork // die "fork: $!\n";
        if ($pid) {
            FCNG::Util::adopt($pid);
            push @{ $self->{pids} }, $pid;
            next;
        }
        close_kept(-1);
        open my $tally, '>:raw', "$self->{dir}/count.$n" or die;
        my ($count, @faults) = 0;
        while (!-e "$self->{dir}/stop" && time < $until) {
            my $fault = eval { $code->($n, $count) } // "died: $@";
            $count++;
            push @faults, $fault if length $fault;
            syswrite $tally, '.'; # its size never shrinks meanwhile
            last if @faults > 20;
        }
        spew("$self->{dir}/faults.$n", join "\n", @faults);
        POSIX::_exit(0);
    }
    return $self;
}

# Requests made so far.
sub count {
    my ($self) = @_;
    my $sum = 0;
    $sum += -s $_ for glob "$self->{dir}/count.*";
    return $sum;
}

# Clients that have made at least one.
sub served { scalar grep { -s } glob "$_[0]{dir}/count.*" }

# Waits until so many more were made.
sub more {
    my ($self, $n, $seconds) = @_;
    my $from = $self->count;
    return wait_until($seconds // 20, sub { $self->count >= $from + $n });
}

sub stop {
    my ($self, $seconds) = @_;
    spew("$self->{dir}/stop", '');
    my @faults;
    for my $pid (@{ $self->{pids} }) {
        my $ended = wait_until($seconds // 30,
            sub { waitpid($pid, POSIX::WNOHANG()) != 0 });
        FCNG::Util::end_child($pid, 'KILL') if !$ended;
        FCNG::Util::dismiss($pid);
        push @faults, 'a client did not end' if !$ended;
    }
    push @faults, split /\n/, slurp($_) for glob "$self->{dir}/faults.*";
    return ($self->count, @faults);
}

1;
