# SPDX-License-Identifier: BSD-2-Clause
#
# The empty STDIN record of a question: applications that close the connection
# for it, such that need it, and questions on connections that turn out to be
# closed.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(wait_until);
use FCNG::Wire;
use Test::More;

# One question as tokio-fastcgi reads it: ready at the end of PARAMS, for an
# Authorizer has no STDIN.  Afterwards its id is unknown, and a record of an
# unknown id that is not BEGIN_REQUEST ends the connection.
sub tokio {
    my ($conn) = @_;
    my $r;
    while (my $record = $conn->next_record) {
        my $type = $record->{type};
        if (!$r) {
            if ($type != FCNG::Wire::T_BEGIN_REQUEST) {
                $conn->note('sequence', type => $type);
                return;
            }
            my ($role, $flags) = unpack 'nC', $record->{content};
            $r = FCNG::App::Request->new($conn, $record->{id}, $role, $flags,
                ++$conn->{n});
            next;
        }
        push @{ $r->{param_records} }, $record;
        next if length $record->{content};
        $r->take_params;
        $r->answer("Status: 200\r\nVariable-N: $r->{n}\r\n\r\n");
        last if !($r->{flags} & FCNG::Wire::KEEP_CONN);
        undef $r;
    }
}

# Answers when STDIN has ended; closes after each answer when told to.
sub needs_stdin {
    my ($closes) = @_;
    return sub {
        my ($conn) = @_;
        while (my $r = $conn->next_request) {
            $r->body;
            return if $r->{gone};
            $r->note('answered');
            $r->answer("Status: 200\r\n\r\n");
            return if $closes;
        }
    };
}

FCNG::Hosts->each(needs => 'protect', sub {
    my ($host) = @_;
    my %app = (tokio => FCNG::App->new(connection => \&tokio),
        off => FCNG::App->new(connection => \&tokio),
        rare => FCNG::App->new(connection => \&tokio),
        shared => FCNG::App->new(connection => \&tokio),
        needs => FCNG::App->new(connection => needs_stdin(0)),
        closes => FCNG::App->new(connection => needs_stdin(1)),
        stale => FCNG::App->new(connection => sub {
            my ($conn) = @_;
            my $first = $conn->next_request or return;
            $first->drain;
            $first->answer("Status: 200\r\n\r\n");
            # The second one is read, and not answered.
            my $second = $conn->next_request or return;
            $second->note('dropped');
        }),
        dead => FCNG::App->new(connection => sub {
            my ($conn) = @_;
            $conn->next_request;
        }));
    $host->location('/shared/', protect => $app{shared},
        pool => { multiplex => 'on' }, app => FCNG::App->new(request => sub {
            $_[0]->text('shared') })) if $host->multiplexes;
    for my $name (grep { $_ ne 'shared' } sort keys %app) {
        $host->file("$name/file", 'file');
        my $off = $name eq 'off';
        $host->protect("/$name/", app => $app{$name}, nginx =>
            "fastcgi_ng_authorizer_read_timeout 1s;\n"
            . ($off ? "fastcgi_ng_authorizer_stdin off;\n" : ''),
            apache => "FastCgiNgAuthorizerReadTimeout 1s\n"
            . ($off ? "FastCgiNgAuthorizerStdin off\n" : ''));
    }
    $host->expect(qr/FCNG0/);
    $host->start;
    my $statuses = sub {
        my ($name, $n, $pause) = @_;
        return join ' ', map {
            select undef, undef, undef, $pause if $pause;
            $host->get("/$name/file")->{status} } 1 .. $n;
    };

    # ---- one that dislikes it
    is($statuses->(tokio => 3, 0.05), '200 200 200', 'nobody notices');
    ok(wait_until(3, sub { $app{tokio}->events('sequence') == 3 }),
        'although it has closed three times');
    select undef, undef, undef, 0.05;
    is($statuses->(tokio => 5, 0.02), '200 ' x 4 . 200, 'then without');
    is(scalar(my @n = $app{tokio}->events('sequence')), 3,
        'it closes no more');
    is(scalar(@n = $app{tokio}->events('accept')), 4, 'and is kept');
    unlike($host->log, qr/\[(?:warn|error|\w*:warn|\w*:error)\]/,
        'nothing is told');

    # ---- one question now and then: closes are seen when they happen
    is($statuses->(rare => 5, 0.3), '200 200 200 200 200', 'now and then');
    is(scalar(@n = $app{rare}->events('sequence')), 3, 'three closes');
    is(scalar(@n = $app{rare}->events('accept')), 4, 'then it is kept');

    # ---- shared: who knows why such a connection was closed?
    if ($host->multiplexes) {
        is($statuses->(shared => 6, 0.05), '200 200 200 200 200 200',
            'a shared connection');
        ok(wait_until(3, sub { $app{shared}->events('sequence') == 6 }),
            'always with the record');
    }

    # ---- without, at once
    is($statuses->(off => 4), '200 200 200 200', 'stdin off');
    is(scalar(@n = $app{off}->events('accept')), 1, 'one connection');
    is(scalar(@n = $app{off}->events('sequence')), 0, 'in order');

    # ---- without a pause: closes are found by the next question
    {
        my $app = $app{tokio};
        $host->reload;
        $app->forget;
        my $client = $host->client;
        is(join(' ', map { $client->request_on('GET', '/tokio/file')->{status}
            } 1 .. 40), '200 ' x 39 . 200, 'one after the other');
        my $closed = () = $app->events('sequence');
        # Without a reload what is known of it stays.
        ok($closed <= 6 && ($closed >= 1 || !$host->reloads),
            "few closes: $closed");
    }

    # ---- one that needs it
    is($statuses->(needs => 5), '200 200 200 200 200', 'one that needs it');
    is(scalar(@n = $app{needs}->events('accept')), 1, 'is kept');

    # ---- closes for another reason: the record comes back
    is($statuses->(closes => 3, 0.05), '200 200 200',
        'one that always closes');
    select undef, undef, undef, 0.05;
    my $r = $host->get('/closes/file');
    is($r->{status}, 504, 'and waits for the record: once in vain');
    is($statuses->(closes => 5, 0.05), '200 200 200 200 200',
        'then it gets it');

    # ---- a kept connection that was closed
    is($statuses->(stale => 1), '200', 'the first question');
    is($statuses->(stale => 1), '200', 'the second, which nobody answers, '
        . 'is asked again');
    is(scalar(@n = $app{stale}->events('dropped')), 1, 'once dropped');
    is(scalar(@n = $app{stale}->events('request')), 3, 'three questions');
    is($host->post('/stale/file', 'x' x 10)->{status},
        $host->is_nginx ? 405 : 200, 'also for POST');
    is(scalar(@n = $app{stale}->events('request')), 5, 'repeated too');
    $app{dead}->forget;
    is($statuses->(dead => 1), '502', 'on a new connection');
    ok((@n = $app{dead}->events('request')) <= 2, 'not for ever');
});
