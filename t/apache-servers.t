# SPDX-License-Identifier: BSD-2-Clause
#
# A pool of several addresses in Apache: they take turns, one that is down is
# passed over and tried again later, the last one is never locked out.  Going
# down and coming back are told once each, however many requests meet it.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Wire qw(end_request);
use Test::More;
use Time::HiRes qw(sleep time);

FCNG::Hosts->each(only => 'apache', sub {
    my ($host) = @_;
    my %app;
    for my $name (qw(a b c dies overloaded)) {
        $app{$name} = FCNG::App->new(request => sub {
            my ($r) = @_;
            my $body = $r->body;
            $r->note('asked');
            return $r->die_now if $name eq 'dies';
            return $r->send(end_request($r->{id}, 0, 2))
                if $name eq 'overloaded';
            $r->text("$name $body");
        });
    }
    my %short = (fail_timeout => '1s', max_idle => 0);
    $host->location('/three/', apps => [@app{qw(a b c)}]);
    $host->location('/two/', apps => [@app{qw(a b)}], pool => \%short);
    $host->location('/one/', app => $app{c}, pool => \%short);
    $host->location('/dies/', apps => [@app{qw(dies a)}],
        pool => { %short, max_fails => 0 });
    $host->location('/overloaded/', apps => [@app{qw(overloaded a)}],
        pool => \%short);
    $host->start;

    my $shares = sub {
        my ($path, $times) = @_;
        my %share;
        for (1 .. $times) {
            my $r = $host->get($path, seconds => 5);
            $share{$r->{status} == 200 ? substr $r->{body}, 0, 1
                : $r->{status}}++;
        }
        return join ' ', map { "$_:$share{$_}" } sort keys %share;
    };
    is($shares->('/three/', 9), 'a:3 b:3 c:3', 'they take turns');

    # One goes: the next address is asked at once, and it is told once.
    $host->mark_log;
    $app{b}->stop;
    my $start = time;
    is($shares->('/two/', 20), 'a:20', 'one that is gone is passed over');
    cmp_ok(time - $start, '<', 1, 'without any waiting');
    my @told = grep { /FCNG016/ } split /\n/, $host->new_log;
    is(scalar @told, 1, 'it is told once');
    like($told[0] // '', qr/connect\(\) to \Q@{[$app{b}->address]}\E failed/,
        'with its address');
    $app{b}->start;
    sleep 1.1;
    my $share = $shares->('/two/', 10);
    is($share, 'a:5 b:5', 'after fail_timeout it has its turn again');
    like($host->wait_log(qr/FCNG017/) // '',
        qr/the application is back; \d+ attempts to connect had failed/,
        'and is told to be back');
    is(scalar(() = $host->new_log =~ /FCNG017/g), 1, 'once');

    # All are gone, or the only one: never locked out.
    for my $case (['/two/', qw(a b)], ['/one/', 'c']) {
        my ($path, @names) = @$case;
        $app{$_}->stop for @names;
        $host->mark_log;
        is($shares->($path, 2), '503:2', "$path: nobody there");
        $app{$_}->start for @names;
        my $r = $host->get($path, seconds => 5);
        is($r->{status}, 200, "$path: served as soon as they are back");
    }

    # One that dies of a request, one that refuses it.
    $_->forget for values %app;
    is($shares->('/dies/', 4), 'a:4', 'a GET goes to the next');
    my %status = map { $_ => 0 } 200, 502;
    $status{$host->post('/dies/', 'x')->{status}}++ for 1 .. 4;
    is($status{502}, 2, 'a POST does not, for it may have been done');
    $_->forget for values %app;
    for (1 .. 4) {
        my $r = $host->post('/overloaded/', 'body');
        is("$r->{status} $r->{body}", '200 a body',
            'OVERLOADED: the next gets it, with its body');
    }
    # They were ended from outside: their connections cannot be counted.
    $host->{apps} = [];
});
