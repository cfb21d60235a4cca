# SPDX-License-Identifier: BSD-2-Clause
#
# One request as the scripted application sees it.
package FCNG::App::Request;

use strict;
use warnings;
use FCNG::Wire qw(record stream end_request parse_pairs take_record);
use Time::HiRes ();

sub new {
    my ($class, $conn, $id, $role, $flags, $n) = @_;
    return bless { conn => $conn, id => $id, role => $role, flags => $flags,
        n => $n, param_records => [], list => [], env => {} }, $class;
}

# Joins the PARAMS records; keeps whether each held whole pairs.
sub take_params {
    my ($self) = @_;
    my @records = map { $_->{content} } @{ $self->{param_records} };
    $self->{list} = [parse_pairs(join '', @records)];
    $self->{aligned} = !grep { !eval { parse_pairs($_); 1 } } @records;
    my @list = @{ $self->{list} };
    while (my ($name, $value) = splice @list, 0, 2) {
        $self->{env}{$name} = $value;
    }
    $self->note('request', id => $self->{id}, role => $self->{role},
        flags => $self->{flags}, n => $self->{n}, list => $self->{list},
        env => $self->{env}, aligned => $self->{aligned})
        if !$self->{conn}{app}{quiet};
}

sub conn { $_[0]{conn} }
sub env { $_[0]{env}{$_[1]} }
sub note { my $self = shift; $self->{conn}->note(@_) }
sub wait_gate { my $self = shift; $self->{conn}->wait_gate(@_) }
sub send { $_[0]{conn}->send($_[1]) }

# The path below the mount, without its slash: what the callback is to do.
sub action {
    my ($self) = @_;
    my $path = ($self->{env}{PATH_INFO} // '') || $self->{env}{SCRIPT_NAME}
        // '';
    return $path =~ m{([^/]*)$} ? $1 : '';
}

# The next piece of a stream of that type; nothing at its end.  Sets |ended|, or
# gone when the host aborted or closed.
sub read_stream {
    my ($self, $wanted, $ended, $seconds) = @_;
    return if $self->{$ended} || $self->{gone};
    while (my $record = $self->{conn}->next_record($seconds)) {
        my $type = $record->{type};
        if ($type == $wanted && $record->{id} == $self->{id}) {
            return $record->{content} if length $record->{content};
            $self->{$ended} = 1;
            return;
        }
        if ($type == FCNG::Wire::T_ABORT_REQUEST) {
            $self->note('abort', id => $record->{id});
            $self->{gone} = 'abort';
            return;
        }
    }
    $self->{gone} = $self->{conn}{eof} || 'nothing came';
    return;
}

# The body, and behind it a Filter's data.
sub read_stdin {
    my ($self, $seconds) = @_;
    return $self->read_stream(FCNG::Wire::T_STDIN, 'stdin_ended', $seconds);
}

sub read_data {
    my ($self, $seconds) = @_;
    return $self->read_stream(FCNG::Wire::T_DATA, 'data_ended', $seconds);
}

# All that is left of them.
sub body {
    my ($self) = @_;
    my $body = $self->{collected} // '';
    while (defined(my $piece = $self->read_stdin)) {
        $body .= $piece;
    }
    return $body;
}

sub data {
    my ($self) = @_;
    my $data = $self->{collected_data} // '';
    while (defined(my $piece = $self->read_data)) {
        $data .= $piece;
    }
    return $data;
}

sub drain {
    my ($self) = @_;
    1 while defined $self->read_stdin;
}

sub out {
    my ($self, $bytes, $size) = @_;
    return $self->send(stream(FCNG::Wire::T_STDOUT, $self->{id}, $bytes,
        $size));
}

sub err {
    my ($self, $bytes) = @_;
    return $self->send(stream(FCNG::Wire::T_STDERR, $self->{id}, $bytes));
}

sub end {
    my ($self, $app_status, $protocol_status) = @_;
    $self->{ended} = 1;
    my $sent = $self->send(record(FCNG::Wire::T_STDOUT, $self->{id}, '')
        . end_request($self->{id}, $app_status, $protocol_status));
    $self->{multiplex}->has_ended($self) if $self->{multiplex};
    return $sent;
}

# ---- on a connection with others: FCNG::App::Multiplex ----

sub queue {
    my ($self, $bytes) = @_;
    push @{ $self->{multiplex}{turns} }, $self if !length $self->{queued};
    $self->{queued} .= $bytes;
}

sub finish {
    my ($self) = @_;
    $self->{finished} = 1;
    $self->end if !length $self->{queued};
}

sub at {
    my ($self, $gate, $code) = @_;
    push @{ $self->{multiplex}{gates} },
        [$gate, sub { $code->() if !$self->{ended} }];
}

# All of a response, in one write.
sub answer {
    my ($self, $bytes) = @_;
    $self->{ended} = 1;
    my $sent = $self->send(stream(FCNG::Wire::T_STDOUT, $self->{id}, $bytes)
        . record(FCNG::Wire::T_STDOUT, $self->{id}, '')
        . end_request($self->{id}));
    $self->{multiplex}->has_ended($self) if $self->{multiplex};
    return $sent;
}

sub text {
    my ($self, $body, %head) = @_;
    my $head = join '', map { "$_: $head{$_}\r\n" } sort keys %head;
    return $self->answer("Content-Type: text/plain\r\n$head\r\n$body");
}

# 64 MB of a response, or what the host takes of it; says that it is over and
# breaks off.
sub flood {
    my ($self) = @_;
    $self->out("Content-Type: text/plain\r\n\r\n");
    for (1 .. 1000) {
        $self->out('x' x 65_536) or last;
    }
    $self->note('gone', how => 'write');
    return $self->die_now;
}

# Ends the application's side at once, in the middle of whatever it was.
sub die_now { $_[0]{gone} = 'application'; $_[0]{conn}->close }

1;
