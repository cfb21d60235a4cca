# SPDX-License-Identifier: BSD-2-Clause
#
# Many requests at the same time from one process, each on a connection of its
# own that the server closes.
#
#   my @responses = FCNG::Many::run($port, 48, $seconds, @requests);
#
# A request is a list of method, path, body (or undef) and lane (or undef): two
# of one lane are never under way together.  The responses, in the same order,
# are those of FCNG::HTTP.
package FCNG::Many;

use strict;
use warnings;
use FCNG::HTTP ();
use Time::HiRes qw(time);

sub run {
    my ($port, $at_once, $seconds, @requests) = @_;
    my (@responses, %open, %busy);
    my @left = 0 .. $#requests;
    while (@left || %open) {
        my @later;
        while (@left && keys %open < $at_once) {
            my $n = shift @left;
            my $lane = $requests[$n][3];
            if (defined $lane && $busy{$lane}++) {
                push @later, $n;
                next;
            }
            my $client = start($port, $seconds, @{ $requests[$n] });
            @$client{qw(n lane)} = ($n, $lane);
            $open{fileno $client->{socket}} = $client;
        }
        unshift @left, @later;
        my ($r, $w) = ('', '');
        for my $fd (keys %open) {
            vec($r, $fd, 1) = 1;
            vec($w, $fd, 1) = 1 if length $open{$fd}{out};
        }
        select $r, $w, undef, 0.1;
        for my $fd (keys %open) {
            my $client = $open{$fd};
            $client->flush if vec $w, $fd, 1;
            $client->turn(0) if vec $r, $fd, 1;
            my $late = time > $client->{until};
            next if !defined $client->{eof} && !$late;
            $responses[$client->{n}] = finish($client,
                !defined $client->{eof});
            delete $busy{$client->{lane}} if defined $client->{lane};
            delete $open{$fd};
        }
    }
    return @responses;
}

sub start {
    my ($port, $seconds, $method, $path, $body) = @_;
    my $client = FCNG::HTTP->new($port) or die "connect: $!\n";
    $client->{until} = time + $seconds;
    $client->send(FCNG::HTTP::head($method, $path, close => 1,
        defined $body ? (length => length $body) : ()) . ($body // ''));
    return $client;
}

sub finish {
    my ($client, $late) = @_;
    my $r = $client->response(seconds => 0);
    $r->{error} = 'timeout' if $late && !$r->{complete};
    # What followed it, on a connection that was to be closed.
    $r->{rest} = $client->{in};
    $client->close;
    return $r;
}

1;
