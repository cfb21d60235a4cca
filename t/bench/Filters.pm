# SPDX-License-Identifier: BSD-2-Clause
#
# Kind filter: the role Filter, of files and of responses.
package Filters;

use strict;
use warnings;
use FCNG::Programs;
use FCNG::Util qw(wait_until);
use Bench;
use Measure;
use Servers;
use Time::HiRes qw(time);

# A file of 64 KiB in upper case, each time by the same application: as a
# Filter, of files and of responses; and as a Responder that reads the file
# itself.  Apache has a filter of its own that starts a program each time.
sub measure {
    my ($name) = @_;
    my $app = FCNG::Programs->upper(children => CLIENTS + 16);
    Measure::pin(1, $app->{pid});
    my $host = Servers::class($name)->new(log_level => 'warn',
        threads => CLIENTS + 16, load => ['ext_filter']);
    my $address = $app->address;
    my @ways = (qw(filter responder), $host->can('output_filter')
        ? 'output' : (), $name eq 'apache' ? 'ext' : ());
    $host->file("$_/64k.txt", 'some text ' x 6553 . 'ending') for @ways;
    $host->file_filter('/filter/', app => $app);
    $host->output_filter('/output/', app => $app,
        options => { output_filter_types => '*' })
        if $host->can('output_filter');
    $host->server(nginx => "location /responder/ {\n"
            . "fastcgi_ng_pass $address;\n}\n",
        apache => "FastCgiNgPool responder $address\n"
            . "<Location \"/responder\">\n"
            . "SetHandler fastcgi-ng:responder\n</Location>\n"
            . "ExtFilterDefine upper mode=output cmd=\"/usr/bin/tr a-z A-Z\""
            . "\n<Location \"/ext\">\nSetOutputFilter upper\n"
            . "</Location>\n");
    $host->start;
    Measure::pin(0, $host->{pid}, $host->workers);
    my @rounds = filter_rounds($host, $app, Bench::half(), @ways);
    tell_filters($name, { map { my $way = $_;
        $way => [map { $_->{$way} } @rounds] } @ways });
    $host->stop;
}

# The least disturbed rounds, as rounds() finds them.  What mod_ext_filter
# starts is nobody's.
sub filter_rounds {
    my ($host, $app, $wanted, @ways) = @_;
    my $quiet = 0;
    my @all;
    filter_run($host, $app, $_) for @ways;    # warm
    while ($quiet < $wanted && @all < 2 * $wanted) {
        my %round = map { $_ => filter_run($host, $app, $_) }
            @all % 2 ? reverse @ways : @ways;
        my ($foreign) = (Measure::range(map { $round{$_}{foreign} }
            grep { $_ ne 'ext' } @ways))[1];
        push @all, { %round, foreign => $foreign };
        $quiet++ if $foreign <= DISTURBED;
    }
    my @best = sort { $a->{foreign} <=> $b->{foreign} } @all;
    note($host->name . ': Filter: other processes disturbed the runs, see '
        . 'docs/benchmarks.md') if $quiet < $wanted;
    return @best[0 .. $wanted - 1];
}

# The processor time is that of the server and of the application.
sub filter_run {
    my ($host, $app, $way) = @_;
    my $path = "/$way/64k.txt";
    my $body = $host->get($path)->{body};
    die "bench: $path is no upper case\n" if $body !~ /\ASOME TEXT .*ENDING\z/;
    my @pids = ($host->workers, $app->{pid});
    my $look = sub { { cpu => Measure::cpu_us(@pids), at => time,
        own => Measure::own_us(), busy => Measure::busy_us() } };
    my $before = $look->();
    my $run = Measure::load(url => $host->url($path), clients => CLIENTS,
        seconds => $Bench::seconds);
    my $after = $look->();
    # While programs serve clients that have left, Apache has no thread to
    # spare and closes kept connections of the next ones.
    my %worker = map { $_ => 1 } $host->workers;
    wait_until(10, sub {
        !grep { $worker{$_} } values %{ FCNG::Host::parents() }
    });
    my %took = map { $_ => $after->{$_} - $before->{$_} } keys %$after;
    $run->{cpu_us} = $took{cpu} / $run->{requests};
    $run->{foreign} = ($took{busy} - $took{cpu} - $took{own}) / 1e6
        / $took{at};
    return $run;
}

sub tell_filters {
    my ($name, $rounds) = @_;
    my $ratio = sub {
        my ($way, $to, $what) = @_;
        return Measure::median(map { $rounds->{$way}[$_]{$what}
            / $rounds->{$to}[$_]{$what} } 0 .. $#{ $rounds->{$way} });
    };
    my %bad;
    for my $way (sort keys %$rounds) {
        $bad{$way} += $_->{bad} for @{ $rounds->{$way} };
        note(sprintf '%s: 64 KiB in upper case, %s: %d requests/s, %.1f us '
            . 'of server and application', $name, $way, map { my $what = $_;
            Measure::median(map { $_->{$what} } @{ $rounds->{$way} }) }
            qw(rate cpu_us));
        bar("$name: failed requests, $way", $bad{$way}, '<=', 0, '%d')
            if $bad{$way};
    }
    for my $way (grep { $rounds->{$_} } qw(filter output)) {
        bar("$name: $way, CPU against a Responder",
            $ratio->($way, 'responder', 'cpu_us'), '<=', 1.5, '%.2f');
        bar("$name: $way, requests/s against a Responder",
            $ratio->($way, 'responder', 'rate'), '>=', 0.55, '%.2f');
    }
    bar("$name: output, requests/s against mod_ext_filter",
        $ratio->('output', 'ext', 'rate'), '>=', 10, '%.1f')
        if $rounds->{ext};
}

1;
