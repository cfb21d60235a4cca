# SPDX-License-Identifier: BSD-2-Clause
#
# One connection as the scripted application sees it.  A callback that takes
# the connection reads records or requests and writes bytes as it likes.
package FCNG::App::Connection;

use strict;
use warnings;
use FCNG::App::Request;
use FCNG::Util qw(wait_until);
use FCNG::Wire qw(record pairs parse_pairs take_record unknown_type);
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time);

sub new {
    my ($class, $app, $socket, $name) = @_;
    return bless { app => $app, socket => $socket, name => $name,
        in => '', n => 0, values => {}, raw => 0 }, $class;
}

sub note {
    my ($self, $what, %more) = @_;
    $self->{app}->note_event(what => $what, %more);
}

# Waits until the test opens the gate.
sub wait_gate {
    my ($self, $name, $seconds) = @_;
    return wait_until($seconds // 20,
        sub { -e "$self->{app}{dir}/gates/$name" });
}

# Reads what is there; the number of bytes, 0 at the end, undef when nothing
# came in time.
sub fill {
    my ($self, $seconds) = @_;
    return 0 if $self->{eof};
    if (defined $seconds) {
        my $bits = '';
        vec($bits, fileno $self->{socket}, 1) = 1;
        return if !select $bits, undef, undef, $seconds;
    }
    my $n;
    do {
        $n = sysread $self->{socket}, $self->{in}, 131_072,
            length $self->{in};
    } while (!defined $n && $!{EINTR});
    if (!$n) {
        $self->{eof} = defined $n ? 'end' : "$!";
        return 0;
    }
    $self->{raw} += $n;
    return $n;
}

# The next record; nothing at the connection's end or after |seconds|.
sub next_record {
    my ($self, $seconds) = @_;
    my $until = time + ($seconds // 60);
    while (1) {
        if (my $record = take_record(\$self->{in})) {
            return $record;
        }
        my $left = $until - time;
        return if $left < 0 || !$self->fill($left);
    }
}

sub send {
    my ($self, $bytes) = @_;
    my $at = 0;
    return 0 if $self->{closed};
    while ($at < length $bytes) {
        my $n = syswrite $self->{socket}, $bytes, length($bytes) - $at, $at;
        if (!defined $n) {
            next if $!{EINTR};
            $self->{broken} = "$!";
            return 0;
        }
        $at += $n;
    }
    return 1;
}

# The next request with all its parameters, or nothing when the host closed.
sub next_request {
    my ($self, $seconds) = @_;
    my %open;
    while (my $record = $self->next_record($seconds)) {
        my ($type, $id) = @$record{qw(type id)};
        if ($type == FCNG::Wire::T_BEGIN_REQUEST) {
            my ($role, $flags) = unpack 'nC', $record->{content};
            $open{$id} = FCNG::App::Request->new($self, $id, $role, $flags,
                ++$self->{n});
        }
        elsif ($type == FCNG::Wire::T_PARAMS && $open{$id}) {
            my $r = $open{$id};
            push @{ $r->{param_records} }, $record;
            next if length $record->{content};
            $r->take_params;
            return $r;
        }
        elsif ($type == FCNG::Wire::T_GET_VALUES) {
            $self->send(record(FCNG::Wire::T_GET_VALUES_RESULT, 0,
                pairs(%{ $self->{values} })));
        }
        elsif ($type == FCNG::Wire::T_ABORT_REQUEST) {
            $self->note('abort', id => $id);
            $self->send(FCNG::Wire::end_request($id));
            return;
        }
    }
    return;
}

sub serve_requests {
    my ($self, $code) = @_;
    while (my $r = $self->next_request) {
        my $answer = $code->($r);
        $r->answer($answer) if defined $answer && !ref $answer
            && !$r->{ended} && $answer =~ /\n/;
        $r->drain if $r->{ended} && !$r->{stdin_ended};
        last if $r->{gone} || $self->{closed} || $self->{eof}
            || !($r->{flags} & FCNG::Wire::KEEP_CONN);
    }
}

# Waits until the host gives the connection up: 'abort' (ABORT_REQUEST),
# 'end', or nothing within |seconds|.
sub wait_closed {
    my ($self, $seconds) = @_;
    my $until = time + ($seconds // 10);
    while ((my $left = $until - time) > 0) {
        while (my $record = take_record(\$self->{in})) {
            return 'abort'
                if $record->{type} == FCNG::Wire::T_ABORT_REQUEST;
        }
        my $n = $self->fill($left);
        return 'end' if defined $n && !$n;
    }
    return;
}

sub close {
    my ($self) = @_;
    return if $self->{closed}++;
    $self->note('close', by => $self->{eof} ? 'host' : 'app',
        raw => $self->{raw});
    CORE::close($self->{socket});
}

# Closes so that the host reads "connection reset" (TCP).
sub reset {
    my ($self) = @_;
    setsockopt $self->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    $self->close;
}

sub finish { $_[0]->close }

1;
