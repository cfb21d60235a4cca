# SPDX-License-Identifier: BSD-2-Clause
#
# Kinds speed and calls: requests a second, processor time and system calls of
# ours and of the built-in module, for each row of @rows.
package Speed;

use strict;
use warnings;
use Bench;
use Measure;
use Servers;
use Time::HiRes qw(time);

my @rows = (
    { name => '1k', what => '1 KiB', path => '1024',
        rounds => 2 * $Bench::rounds },
    { name => '1k-unannounced', what => '1 KiB, no length',
        path => 'u1024' },
    { name => '16k', what => '16 KiB', path => 16 * 1024 },
    { name => '64k', what => '64 KiB', path => 64 * 1024 },
    { name => 'post-64k', what => 'POST 64 KiB', path => '1024',
        body => 64 * 1024 },
    { name => '1k-shared', what => '1 KiB, shared', path => '1024',
        of => 'shared', bar_of => 'nginx', bar => 1.25, calls => 2.2,
        rounds => 2 * $Bench::rounds },
    { name => '1k-shared-256', what => '1 KiB, shared, 256', path => '1024',
        of => 'shared', only => 'nginx', clients => 256, bar => 1.4,
        rounds => 3 * $Bench::rounds },
    # A file of 1 KiB, and who may have it.
    { name => 'authorizer', what => 'authorizer, file', path => 'auth/64',
        rounds => $Bench::rounds, bar => { nginx => 1, apache => 2 } },
);

sub rows { map { $_->{name} } @rows }

# The names of the parameters that the application got.  Connection is a field
# between two hops (RFC 9110 section 7.6.1): ours does not pass it on.  wrk
# sends none.
sub names {
    my ($host, $path) = @_;
    my $block = $host->get("$path/params")->{body};
    my @names;
    while (length $block) {
        my @len;
        for (1 .. 2) {
            my $len = unpack 'C', $block;
            $len = unpack('N', $block) & 0x7fff_ffff if $len > 127;
            push @len, $len;
            substr $block, 0, $len > 127 ? 4 : 1, '';
        }
        my $name = substr $block, 0, $len[0], '';
        my $value = substr $block, 0, $len[1], '';
        push @names, $name
            if length $value && $name ne 'HTTP_CONNECTION';
    }
    return join ' ', sort @names;
}

# ---- speed ----

sub run {
    my ($host, $app, $variant, $row) = @_;
    my @server = $host->workers;
    my @apps = map { $_->{pid} } grep { $_ } $app, $host->{asked};
    my $look = sub { { server => Measure::cpu_us(@server), at => time,
        ours => Measure::cpu_us(@server, @apps) + Measure::own_us(),
        busy => Measure::busy_us() } };
    my $counts = $row->{path} !~ m{^auth/};    # not of all that are asked
    Servers::connections($host, $variant) if $counts;
    my $before = $look->();
    my $run = Measure::load(url => $host->url("/$variant/$row->{path}"),
        clients => $row->{clients} // CLIENTS, body => $row->{body},
        seconds => $row->{seconds} // $Bench::seconds);
    my $after = $look->();
    %$run = (%$run, Servers::connections($host, $variant)) if $counts;
    my %took = map { $_ => $after->{$_} - $before->{$_} } keys %$after;
    $run->{cpu_us} = $took{server} / $run->{requests};
    $run->{foreign} = ($took{busy} - $took{ours}) / 1e6 / $took{at};
    print STDERR "bench: $run->{bad} of $run->{requests} requests failed: "
        . $host->name . " /$variant/$row->{path}\n" if $run->{bad};
    return $run;
}

# Rounds until enough of them were undisturbed, but at most twice as many; the
# least disturbed count.
sub rounds {
    my ($host, $app, $row, $wanted) = @_;
    my $quiet = 0;
    my @all;
    my @ways = $row->{ways} ? @{ $row->{ways} } : qw(ng builtin);
    my %of = ((map { $_ => $_ } @ways), $row->{of} ? (ng => $row->{of}) : ());
    my %warm = (%$row, seconds => $Bench::seconds);
    run($host, $app, $_, \%warm) for values %of;
    while ($quiet < $wanted && @all < 2 * $wanted) {
        my %round = map { $_ => run($host, $app, $of{$_}, $row) }
            @all % 2 ? reverse @ways : @ways;
        my ($foreign) = (Measure::range(map { $_->{foreign} }
            values %round))[1];
        push @all, { %round, foreign => $foreign };
        $quiet++ if $foreign <= DISTURBED;
    }
    my @best = sort { $a->{foreign} <=> $b->{foreign} } @all;
    return (scalar @all, @best[0 .. $wanted - 1]);
}

sub compare {
    my ($host, $app, $row) = @_;
    my ($made, @rounds) = rounds($host, $app, $row,
        $row->{rounds} || Bench::half());
    my %r = (server => $host->name, row => $row->{name},
        what => $row->{what}, made => $made, used => scalar @rounds,
        bad => 0);
    for my $what (qw(rate cpu_us)) {
        my @ratio = map { $_->{ng}{$what} / $_->{builtin}{$what} } @rounds;
        (my $name = $what) =~ s/_us//;
        $r{"${name}_ratio"} = Measure::median(@ratio);
        $r{"${name}_range"} = [Measure::range(@ratio)];
    }
    for my $variant (qw(ng builtin)) {
        my @runs = map { $_->{$variant} } @rounds;
        for my $what (qw(rate cpu_us p50_us p99_us foreign connections
            replaced)) {
            $r{$variant}{$what} = Measure::median(
                grep { defined } map { $_->{$what} } @runs);
        }
        $r{bad} += $_->{bad} for @runs;
    }
    return \%r;
}

# Of two runs the difference: without what it takes to open and to close
# connections.
sub calls {
    my ($host, $row, $variant) = @_;
    my @run = map { Measure::system_calls([$host->workers], url =>
        $host->url("/$variant/$row->{path}"), clients => CLIENTS,
        seconds => $_) } 1, 3;
    my ($why) = grep { !ref } @run;
    return $why if $why;
    my $requests = $run[1]{requests} - $run[0]{requests};
    return 'too few requests under strace' if $requests < 100;
    return { map { $_ => ($run[1]{calls}{$_} - ($run[0]{calls}{$_} // 0))
        / $requests } keys %{ $run[1]{calls} } };
}

sub total {
    my ($calls) = @_;
    return if !ref $calls;
    my $sum = 0;
    $sum += $_ for values %$calls;
    return $sum;
}

# ---- the table ----

my $line = "%-7s %-17s %9s %9s  %-18s %7s %7s  %-18s %6s %6s %8s %8s"
    . " %6s\n";

sub ratio {
    my ($median, $range) = @_;
    return sprintf '%.2f [%.2f-%.2f]', $median, @$range;
}

sub heading {
    printf $line, 'server', 'response', 'req/s', 'built-in', 'ratio',
        'CPU us', 'b.-in', 'ratio', 'calls', 'b.-in',
        'conns', 'b.-in', 'rounds';
}

sub show {
    my ($r) = @_;
    my @calls = map { my $sum = total($r->{calls}{$_});
        defined $sum ? sprintf '%.2f', $sum : '-' } qw(ng builtin);
    printf $line, $r->{server}, $r->{what}, int $r->{ng}{rate},
        int $r->{builtin}{rate}, ratio(@$r{qw(rate_ratio rate_range)}),
        (map { sprintf '%.1f', $r->{$_}{cpu_us} } qw(ng builtin)),
        ratio(@$r{qw(cpu_ratio cpu_range)}), @calls,
        (map { Servers::conns($r->{$_}) } qw(ng builtin)),
        "$r->{used}/$r->{made}";
    note("$r->{server}: $r->{what}: other processes disturbed the runs, see "
        . 'docs/benchmarks.md') if $r->{made} == 2 * $r->{used};
}

sub measure {
    my ($name) = @_;
    my $app = application();
    my $host = server($name, $app);
    print "\n$name: fastcgi-ng with nothing but the address, and "
        . against($name) . "\n";
    my ($ours, $theirs) = map { names($host, $_) } '/ng', '/builtin';
    note("$name: other parameters than built in: $ours | $theirs")
        if $name eq 'nginx' && $ours ne $theirs;
    heading();
    my $calls;
    for my $row (@rows) {
        next if !wanted($row->{name})
            || ($row->{only} // $name) ne $name;
        my $r = wanted('speed') ? compare($host, $app, $row) : undef;
        if ($row->{name} eq '1k' && wanted('calls')) {
            $r->{calls}{$_} = calls($host, $row, $_) for qw(ng builtin);
            $calls = $r->{calls};
        }
        if ($row->{calls} && wanted('calls')) {
            $calls->{ $row->{of} } = $r->{calls}{ng}
                = calls($host, $row, $row->{of});
        }
        next if !$r->{what};
        push @{ $Bench::result{rows} }, $r;
        show($r);
        bar("$name: requests/s at 1 KiB, ratio", $r->{rate_ratio}, '>=', 1,
            '%.3f') if $row->{name} eq '1k';
        my $bar = ref $row->{bar} ? $row->{bar}{$name} : $row->{bar};
        bar("$name: requests/s, $row->{what}, ratio", $r->{rate_ratio}, '>=',
            $bar, '%.3f')
            if $bar && ($row->{bar_of} // $name) eq $name;
        bar("$name: failed requests at $row->{what}", $r->{bad}, '<=', 0,
            '%d') if $r->{bad};
    }
    tell_calls($name, $calls) if $calls;
    $host->stop;
}

sub tell_calls {
    my ($name, $calls) = @_;
    for my $variant (grep { $calls->{$_} } qw(ng builtin shared)) {
        my $of = $calls->{$variant};
        my $sum = total($of);
        note(sprintf '%s: system calls a request, %s: %s', $name, $variant,
            !ref $of ? $of : sprintf('%.2f (%s)', $sum, join ', ',
                map { sprintf '%s %.2f', $_, $of->{$_} }
                grep { $of->{$_} >= 0.005 }
                sort { $of->{$b} <=> $of->{$a} || $a cmp $b } keys %$of));
        bar("$name: system calls a request at 1 KiB", $sum, '<=', 4.1,
            '%.2f') if $variant eq 'ng' && $name eq 'nginx' && defined $sum;
        bar("$name: system calls a request at 1 KiB, shared", $sum, '<=', 2.2,
            '%.2f') if $variant eq 'shared' && $name eq 'nginx'
                && defined $sum;
    }
}

1;
