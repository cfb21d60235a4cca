# SPDX-License-Identifier: BSD-2-Clause
#
# A connection on which the scripted application serves several requests at a
# time.  The callback gets each request when its body has ended (a Filter's,
# when its data has), and returns at once; what it has to say later it says by
#
#   $r->queue($bytes)       STDOUT, in records of 16 KiB, one of each request
#                           in turn
#   $r->finish              the end, behind what is queued
#   $r->at(gate => CODE)    when the test opens the gate
#
# Words of FCNG::App->new(multiplex => CODE, ...):
#   values => { ... }       the answer to GET_VALUES (default: MPXS_CONNS 1);
#                           'silent': none; 'close': closes instead
#   abort => 'end'|'gate'   END_REQUEST for an aborted request at once, or
#                           when the gate "end-abort" is opened
#   refuses => 1            CANT_MPX_CONN for a second request
#   lies => 1               closes behind the first END_REQUEST
package FCNG::App::Multiplex;

use strict;
use warnings;
use FCNG::App::Request;
use FCNG::Wire qw(record stream end_request pairs take_record);
use Time::HiRes qw(time);

my $record = 16_384;

sub serve {
    my ($class, $conn, $code) = @_;
    my $self = bless { conn => $conn, app => $conn->{app}, code => $code,
        open => {}, gates => [], turns => [] }, $class;
    $conn->{multiplex} = $self;
    while (!$conn->{closed} && !$conn->{broken}) {
        $self->look_at_gates;
        $self->write_turn;
        last if $conn->{closed};
        my $busy = @{ $self->{turns} };
        my $n = $conn->fill($busy ? 0 : @{ $self->{gates} } ? 0.01 : 5);
        while (my $next = take_record(\$conn->{in})) {
            $self->take($next);
            last if $conn->{closed};
        }
        last if $conn->{eof};
    }
}

sub look_at_gates {
    my ($self) = @_;
    my @gates = splice @{ $self->{gates} };
    for my $gate (@gates) {
        my ($name, $code) = @$gate;
        if (-e "$self->{app}{dir}/gates/$name") { $code->() }
        else { push @{ $self->{gates} }, $gate }
    }
}

sub write_turn {
    my ($self) = @_;
    my @turns = splice @{ $self->{turns} };
    for my $r (@turns) {
        next if $r->{ended};
        my $piece = substr $r->{queued}, 0, $record, '';
        $r->out($piece) if length $piece;
        if (length $r->{queued}) { push @{ $self->{turns} }, $r }
        elsif ($r->{finished}) { $r->end }
    }
}

sub take {
    my ($self, $in) = @_;
    my ($conn, $open) = @$self{qw(conn open)};
    my ($type, $id) = @$in{qw(type id)};
    my $r = $open->{$id};
    if ($type == FCNG::Wire::T_BEGIN_REQUEST) {
        my ($role, $flags) = unpack 'nC', $in->{content};
        $conn->note('error', text => "id $id is in use") if $r;
        if ($self->{app}{refuses} && %$open) {
            $conn->note('refused', id => $id);
            return $conn->send(end_request($id, 0,
                FCNG::Wire::CANT_MPX_CONN));
        }
        $open->{$id} = FCNG::App::Request->new($conn, $id, $role, $flags,
            ++$conn->{n});
        @{ $open->{$id} }{qw(queued multiplex)} = ('', $self);
    }
    elsif ($type == FCNG::Wire::T_GET_VALUES) { $self->tell }
    elsif (!$r) { return }
    elsif ($type == FCNG::Wire::T_PARAMS) {
        push @{ $r->{param_records} }, $in;
        $r->take_params if !length $in->{content};
    }
    elsif ($type == FCNG::Wire::T_STDIN) {
        $r->{collected} .= $in->{content};
        return if length $in->{content} || $r->{stdin_ended}++;
        $self->{code}->($r) if $r->{role} != FCNG::Wire::FILTER;
    }
    elsif ($type == FCNG::Wire::T_DATA) {
        $r->{collected_data} .= $in->{content};
        return if length $in->{content} || $r->{data_ended}++;
        $self->{code}->($r);
    }
    elsif ($type == FCNG::Wire::T_ABORT_REQUEST) { $self->aborted($r) }
}

sub tell {
    my ($self) = @_;
    my $values = $self->{app}{values} // { FCGI_MPXS_CONNS => 1 };
    $self->{conn}->note('values');
    return $self->{conn}->close if $values eq 'close';
    return if !ref $values;
    $self->{conn}->send(record(FCNG::Wire::T_GET_VALUES_RESULT, 0,
        pairs(%$values)));
}

sub aborted {
    my ($self, $r) = @_;
    $r->note('abort', id => $r->{id});
    $r->{gone} = 'abort';
    $r->{queued} = '';
    if (($self->{app}{abort} // 'end') eq 'gate') {
        $r->at('end-abort', sub { $r->end });
    }
    else { $r->end }
}

# Called by FCNG::App::Request.
sub has_ended {
    my ($self, $r) = @_;
    delete $self->{open}{ $r->{id} };
    $self->{conn}->close if $self->{app}{lies};
}

1;
