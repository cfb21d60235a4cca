# SPDX-License-Identifier: BSD-2-Clause
#
# Bytes that an application sends after the end of a request, on a kept
# connection, are nobody's: they never reach another request.  RUNS says how
# many requests; a hundred connections of clients take turns.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::HTTP;
use FCNG::Wire qw(record stream end_request);
use Test::More;
use Time::HiRes qw(sleep);

my $runs = $ENV{RUNS} || 1500;
my $clients = 8;

# A whole second answer, as a record of its own or a part of one.
sub late {
    my ($r, $how) = @_;
    my $evil = "Content-Type: text/plain\r\n\r\nLATE of " . $r->action;
    my $id = $r->{id};
    my $whole = stream(FCNG::Wire::T_STDOUT, $id, $evil)
        . record(FCNG::Wire::T_STDOUT, $id, '') . end_request($id);
    return $how == 0 ? $whole
        : $how == 1 ? substr $whole, 0, 12
        : $how == 2 ? stream(FCNG::Wire::T_STDERR, $id, "LATE\n")
        : $how == 3 ? end_request($id)
        : record(FCNG::Wire::T_STDOUT, $id + 500, $evil);
}

# Each way in turn: in one write with the answer, right behind it, or when
# the connection is idle.
sub serve {
    my ($r) = @_;
    my ($n) = $r->action =~ /(\d+)/;
    my $body = "answer to $n";
    my $id = $r->{id};
    my $answer = stream(FCNG::Wire::T_STDOUT, $id,
        "Content-Type: text/plain\r\n\r\n$body")
        . record(FCNG::Wire::T_STDOUT, $id, '') . end_request($id);
    my $when = $n % 7;
    $r->drain if !$r->{stdin_ended};
    $r->{ended} = 1;
    if ($when < 2) {
        $r->send($answer . late($r, $n % 5));
    }
    elsif ($when < 4) {
        $r->send($answer);
        $r->send(late($r, $n % 5));
    }
    elsif ($when == 4) {
        $r->send($answer);
        sleep 0.0005 * ($n % 4);
        $r->send(late($r, $n % 5));
    }
    else {
        $r->send($answer);
    }
}

sub run {
    my ($host) = @_;
    my @open = map { $host->client } 1 .. $clients;
    my ($sent, $right, @wrong) = (0, 0);
    my @asked;
    while ($sent < $runs) {
        for my $i (0 .. $#open) {
            $open[$i] = $host->client
                if !$open[$i] || defined $open[$i]{eof};
            $asked[$i] = ++$sent;
            $open[$i]->send("GET /app/$sent HTTP/1.1\r\n"
                . "Host: localhost\r\n\r\n");
        }
        for my $i (0 .. $#open) {
            my $r = $open[$i]->response(seconds => 10);
            if ($r->{complete} && $r->{status} == 200
                && $r->{body} eq "answer to $asked[$i]") {
                $right++;
            }
            else {
                push @wrong, "$asked[$i]: $r->{status} '$r->{body}' "
                    . ($r->{error} // '');
                $open[$i]->close;
                $open[$i] = undef;
                return ($sent, $right, @wrong) if @wrong > 20;
            }
        }
    }
    $_ && $_->close for @open;
    return ($sent, $right, @wrong);
}

FCNG::Hosts->each(log_level => 'warn', keepalive => 60, sub {
    my ($host) = @_;
    my $app = FCNG::App->new(quiet => 1, request => \&serve);
    $host->location('/app/', app => $app)->start;
    my ($sent, $right, @wrong) = run($host);
    is($right, $sent, "$sent requests, each with its own answer")
        or diag(join("\n", @wrong), join "\n", grep { !/FCNG015/ } split /\n/, $host->log);
    unlike("@wrong", qr/LATE/, 'P23: nothing of an earlier one');
    # Both happened: connections that were kept, and such that were dropped.
    my ($opened) = $app->counts;
    cmp_ok($opened, '>', $sent / 7, 'late bytes cost the connection');
    cmp_ok($opened, '<', $sent, 'others are kept');
    ok($host->wait_log(qr/FCNG015/), 'the log tells of stray bytes');
});
