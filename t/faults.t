# SPDX-License-Identifier: BSD-2-Clause
#
# The fault matrix: an application cuts, resets, stalls, drips or corrupts its
# answer at each byte of a short exchange and around each record of a normal
# one, also while it is sent a body.  The client gets the whole response, or
# sees that it has none, as FCNG::Faults works out; the log says why; requests
# beside it are served; nothing is left behind.
#
# FCNG_FAULTS=full runs all of it (make check-faults), else a part that is
# quick.  PARTS=pattern,... picks groups.
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);
use FCNG::Failing;
use FCNG::FaultApp;
use FCNG::Faults;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Load;
use FCNG::Many;
use FCNG::Util qw(spew wait_until random_bytes);
use Test::More;
use Time::HiRes qw(time);

my $full = ($ENV{FCNG_FAULTS} // '') eq 'full';
my $slow = $ENV{FCNG_VALGRIND} || $ENV{FCNG_SAN} ? 4 : 1;
my $most = $ENV{FCNG_ALL} ? 999 : 9;   # faults that are told
my $body = random_bytes(400_000);
# Those that stall wait together, all of a short exchange; bodies keep the
# application busy.
my %at_once = ('' => 150, all => 24, part => 24);

# How requests share the way to the application: in so many lanes, each an
# address with a pool of its own.  A connection that serves one at a time takes
# nobody with it: one lane for all, and for the requests beside them.  Where
# connections are shared each cell is alone in its lane, and the requests beside
# have one of their own: alone => 1, beside => 'n'.  An application that stalls
# there would keep the next one in its lane from being answered: own => words
# that make it the only one on its connection.
my %mode = (
    exclusive => { pool => {}, lanes => 1, beside => '0' },
    multiplex => { pool => { multiplex => 'on' }, lanes => 124, alone => 1,
        own => { max_requests => 1 }, beside => 'n' },
);
my $mode = $mode{$ENV{FCNG_MODE} // 'exclusive'} or die "no such mode\n";

# Each group: the address, the exchange, the faults, which places, what the
# request sends (part: of which the application reads but a part).
my @flips = $full ? map { "flip-$_" } 1, 2, 4, 8, 128, 255 : 'flip-255';
my @groups = (
    ['unix', 'short', 'bytes', '', qw(cut drip stall), @flips],
    ['tcp', 'short', 'bytes', '', 'reset'],
    ['unix', 'length', $full ? 'bytes' : 'records', '', qw(cut drip stall),
        @flips],
    ['unix', 'normal', 'records', '', qw(cut stall), @flips],
    ['tcp', 'normal', 'records', '', qw(cut reset)],
    ['unix', 'short', 'records', 'all', qw(cut stall)],
    ['unix', 'short', $full ? 'bytes' : 'records', 'part',
        qw(cut drip stall), @flips],
    ['tcp', 'short', $full ? 'bytes' : 'records', 'part', qw(cut reset)],
    !$full ? () : (
        ['tcp', 'short', 'bytes', '', qw(cut drip stall), @flips],
        ['tcp', 'length', 'bytes', '', qw(cut reset drip stall), @flips],
        ['unix', 'length', 'bytes', 'all', qw(cut drip stall), @flips],
        ['unix', 'length', 'bytes', 'part', qw(cut drip stall), @flips],
        ['tcp', 'normal', 'records', '', qw(drip stall), @flips],
        ['tcp', 'normal', 'records', 'part', qw(cut reset stall)],
        ['streamed', 'short', 'bytes', 'part', qw(cut drip stall), @flips],
        ['streamed', 'normal', 'records', 'part', qw(cut stall)],
        ['streamed', 'length', 'bytes', '', qw(cut drip stall), @flips],
    ),
);

# ---- a group ----

# What is asked and what must come of it.
sub cells {
    my ($where, $name, $which, $sends, @faults) = @_;
    my @cells;
    my $bytes = FCNG::Faults::bytes($name, 1);
    # The others are done while these wait.
    for my $fault ((grep { $_ eq 'stall' } @faults),
            grep { $_ ne 'stall' } @faults) {
        my $lane = 0;
        for my $n (FCNG::Faults::places($name, $which)) {
            next if $fault =~ /^flip/ && $n >= length $bytes;
            my $way = "$where-" . $lane++ % $mode->{lanes};
            my $cell = { fault => $fault, n => $n,
                name => $name, method => $sends ? 'POST' : 'GET',
                body => $sends ? $body : undef,
                lane => $mode->{alone} ? $way : undef };
            # What is answered before it stalls has all the time it needs.
            my $waits = $fault eq 'stall'
                && grep { $_->{is} ne 'whole' } wanted($cell);
            $cell->{path} = "/$way" . ($waits ? '-stall' : '')
                . "/$name/$fault/$n" . ($sends eq 'part' ? '/part' : '');
            push @cells, $cell;
        }
    }
    return @cells;
}

# The id is 1 or 2: what is flipped in it may make one of the other.
sub wanted {
    my ($cell) = @_;
    return map {
        my ($pieces, $then) = FCNG::Faults::plan($cell->{name},
            $cell->{fault}, $cell->{n}, $_);
        FCNG::Faults::outcome(join('', @$pieces), $then, $_);
    } 1, 2;
}

# What the log says of each path.
sub by_path {
    my %said;
    for (split /\n/, $_[0]) {
        my ($path) = m{request: "(?:GET|POST) (/\S+?)[" ]} or next;
        $said{$path} .= "$_\n";
    }
    return \%said;
}

# The faults of one cell, as text; nothing when it went as it must.
sub judge {
    my ($cell, $r, $asked, $said) = @_;
    my @faults;
    for my $want (wanted($cell)) {
        @faults = grep { defined } FCNG::Faults::fault($want, $r);
        my $most = $want->{repeats} eq 'any' || $want->{repeats}
            && $cell->{method} eq 'GET' ? 3 : 1;
        push @faults, "asked $asked times" if !$asked || $asked > $most;
        push @faults, "the log says\n$said"
            if $want->{tag} && $said !~ $want->{tag}
                || !$want->{tag} && !$want->{may}
                    && $said =~ /FCNG00[1-9]|timed out/;
        return if !@faults;
    }
    return "$cell->{method} $cell->{path}: " . join ', ', @faults;
}

sub group {
    my ($host, $app, @group) = @_;
    my @cells = cells(@group);
    $host->mark_log;
    $app->asked;
    my $start = time;
    my @got = FCNG::Many::run($host->port, $at_once{$group[3]}, 15 * $slow,
        map { [@$_{qw(method path body lane)}] } @cells);
    my $asked = $app->asked;
    my $said = by_path($host->new_log);
    my @wrong = map {
        my $path = $cells[$_]{path};
        judge($cells[$_], $got[$_], $asked->{$path} // 0,
            $said->{$path} // '');
    } 0 .. $#cells;
    my $what = join ' ', grep { length } @group;
    ok(!@wrong, "$what: " . @cells . ' cells')
        or diag(scalar(@wrong) . " wrong:\n", join "\n",
            @wrong[0 .. ($#wrong < $most ? $#wrong : $most)]);
    note(sprintf '%.1f s', time - $start);
    rested($host, $what);
    is($host->get("/$group[0]-0/good/10", seconds => 5)->{status}, 200,
        "$what: the next request");
}

# ---- what must not be left ----

sub threads {
    my ($host) = @_;
    return join ' ', map { scalar(() = glob "/proc/$_/task/*") }
        $host->workers;
}

# No request, no connection, all counted.
sub rested {
    my ($host, $what) = @_;
    my $text;
    spew($host->dir . '/pause', '');
    # To parse a page of 250 addresses takes longer than to ask for it.
    wait_until(3 * $slow, sub { $host->get('/status')->{body}
        !~ /"(?:active|waiting|connections)":[1-9]/ });
    wait_until($slow, sub {
        $text = '';
        for my $row (values %{ $host->status }) {
            my $ends = 0;
            $ends += $row->{$_} for qw(complete aborted stale timeouts
                closed_early protocol_errors refused bad_heads other_errors);
            $text .= "$row->{address}: $_=$row->{$_}\n"
                for grep { $row->{$_} } qw(active waiting connections);
            $text .= "$row->{address}: $row->{requests} requests, $ends ends\n"
                if $ends != $row->{requests};
        }
        return $text eq '';
    });
    is($text, '', "$what: no slot is left");
    unlink $host->dir . '/pause';
}

# What one round allocates, the next one may use again; nothing may grow with
# the number of faults.
sub leaks {
    my ($host, $app, $failing) = @_;
    my $before = $failing->live;
    group($host, $app, @$_) for @groups[0 .. 2];
    my $more = $failing->live - $before;
    cmp_ok($more, '<', 30, "$more more blocks of memory are in use");
}

# Requests of others; they pause while it is looked at what is left.
sub neighbours {
    my ($host) = @_;
    my ($port, $dir) = ($host->port, $host->dir);
    return FCNG::Load->start(2, sub {
        my ($n, $count) = @_;
        wait_until(60, sub { !-e "$dir/pause" });
        my $path = ($count % 2 ? '/unix-' : '/tcp-') . $mode->{beside}
            . '/good/' . (1 + $count * 7919 % 70_000);
        my $sends = $n % 2 ? '' : 'x' x ($count * 104_729 % 90_000);
        my $r = FCNG::HTTP::request($port, $n % 2 ? 'GET' : 'POST', $path,
            $n % 2 ? () : (body => $sends), seconds => 20);
        select undef, undef, undef, 0.01;
        return "$path: $r->{status} " . ($r->{error} // '')
            if $r->{status} != 200 || !$r->{complete};
        (my $info = $path) =~ s{^/[^/]*}{};
        return $r->{body} eq FCNG::FaultApp::good($info, length $sends,
            md5_hex($sends)) ? '' : "$path: another body";
    }, seconds => 1200);
}

# ---- the test ----

sub places_of {
    my ($host, $app) = @_;
    my %kept = (idle_timeout => '50ms', %{ $mode->{pool} });
    my %own = (%kept, %{ $mode->{own} || {} });
    my %time = (map { ("${_}_timeout" => 10 * $slow . 's') } qw(read send));
    my %stall = map { ("${_}_timeout" => 1000 * $slow . 'ms') } qw(read send);
    my $at = 0;
    for my $lane (0 .. $mode->{lanes} - 1, 'n') {
        for my $where (qw(unix tcp)) {
            my @how = (address => $app->address($at++),
                pool => $lane eq 'n' ? \%kept : \%own);
            $host->location("/$where-$lane/", @how, options => \%time);
            $host->location("/$where-$lane-stall/", @how,
                options => \%stall);
            next if $where ne 'unix';
            $host->location("/streamed-$lane$_->[0]/", @how,
                options => { %{ $_->[1] }, request_buffering => 'off',
                    buffering => 'off' })
                for ['', \%time], ['-stall', \%stall];
        }
    }
}

FCNG::Hosts->each(threads => 160, keepalive => 1, log_level => 'info', sub {
    my ($host) = @_;
    my $app = FCNG::FaultApp->new(
        listen => [(qw(unix tcp)) x ($mode->{lanes} + 1)]);
    push @{ $host->{apps} }, $app;
    places_of($host, $app);
    $host->status_at('/status');
    my $failing = FCNG::Failing->missing ? undef
        : FCNG::Failing->new($host, count => 1, $host->is_apache
            ? (module => 'mod_fastcgi_ng') : ());
    $host->start;
    my $before = threads($host);
    my $load = neighbours($host);
    my @wanted = split /,/, $ENV{PARTS} // '';
    my $start = time;
    for my $group (@groups) {
        next if @wanted && !grep { "@$group" =~ /$_/ } @wanted;
        group($host, $app, @$group);
    }
    my ($count, @faults) = $load->stop;
    is(join("\n", @faults), '', "$count requests beside: all served");
    cmp_ok($count, '>', (time - $start), 'while the others failed');
    leaks($host, $app, $failing) if $failing && !@wanted;
    rested($host, 'at the end');
    is(threads($host), $before, 'as many threads as before');
});
