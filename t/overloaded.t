# SPDX-License-Identifier: BSD-2-Clause
#
# An application that refuses with OVERLOADED has more to do than it can: it is
# asked once, on whatever connection, and the client gets 503 with Retry-After;
# of several servers each is asked once, whatever the method, for nothing was
# started, also where another one is down.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(free_port);
use Test::More;

# A server that says its name, and refuses while the gate is open.
sub app {
    my ($way, $name) = @_;
    return FCNG::App->new($way => sub {
        my ($r) = @_;
        return $r->end(0, FCNG::Wire::OVERLOADED)
            if -e "$r->{conn}{app}{dir}/gates/overloaded";
        $r->text($name);
    });
}

sub refused {
    my ($host, $path, $what, @apps) = @_;
    for my $method (qw(GET POST)) {
        $_->forget for @apps;
        my $r = $host->request($method, $path,
            $method eq 'POST' ? (body => 'body') : ());
        is($r->{status}, 503, "$what: $method: 503");
        is($r->header('Retry-After'), 1, 'with Retry-After');
        is(join(' ', map { scalar(() = $_->events('request')) } @apps),
            join(' ', (1) x @apps), 'each was asked once');
    }
}

sub test {
    my ($host, $way, $words) = @_;
    my %app = map { $_ => app($way, $_) } qw(lone a b);
    $host->location('/lone/', app => $app{lone},
        pool => { split /=/, $words });
    my ($a, $b) = map { $_->address } @app{qw(a b)};
    my %second = (two => $b, down => '127.0.0.1:' . free_port());
    for my $name (sort keys %second) {
        $host->main(nginx => "upstream $name {\n"
            . "server $a max_fails=0;\nserver $second{$name} max_fails=0;\n"
            . "fastcgi_ng_pool $words;\n}\n",
            apache => "FastCgiNgPool $name $a $second{$name} $words");
        $host->server(
            nginx => "location /$name/ {\nfastcgi_ng_pass $name;\n}\n",
            apache => "<Location \"/$name\">\nFastCgiNgPass $name\n"
                . '</Location>');
    }
    push @{ $host->{apps} }, @app{qw(a b)};
    $host->start;

    $_->open_gate('overloaded') for values %app;
    refused($host, '/lone/x', 'the only server', $app{lone});
    refused($host, '/two/x', 'two servers', @app{qw(a b)});
    for my $method (qw(GET POST)) {
        $_->close_gate('overloaded') for values %app;
        is($host->get('/lone/x')->{body}, 'lone', 'it is well again');
        my %by = map { $host->get('/two/x')->{body} => 1 } 1 .. 4;
        is(join(' ', sort keys %by), 'a b', 'so are both');
        $_->open_gate('overloaded') for values %app;
        refused($host, '/lone/x', 'a kept connection', $app{lone});
        refused($host, '/two/x', 'kept connections', @app{qw(a b)});
    }

    for my $method (qw(GET POST)) {
        for my $n (1 .. 2) {
            $app{a}->forget;
            my $r = $host->request($method, '/down/x',
                $method eq 'POST' ? (body => 'body') : ());
            like($r->{status}, qr/^50[23]$/, "$method: the other one is down");
            is(scalar(() = $app{a}->events('request')), 1, 'asked once');
        }
    }

    $app{b}->close_gate('overloaded');
    $_->forget for @app{qw(a b)};
    is($host->post('/two/x', 'body')->{body}, 'b', 'the other one serves')
        for 1 .. 4;
    cmp_ok(scalar(() = $app{a}->events('request')), '<=', 4,
        'no more is asked of the first than that');
}

FCNG::Hosts->each(sub {
    my ($host) = @_;
    $host->another('a connection each', sub {
        test(@_, 'request', 'multiplex=off') });
    $host->another('shared connections', threads => 24, sub {
        test(@_, 'multiplex', 'multiplex=on') }) if $host->multiplexes;
});
