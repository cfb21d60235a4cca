# SPDX-License-Identifier: BSD-2-Clause
#
# What becomes of a response when its Filter application fails, when the
# original does, or when it is too large: nothing half done looks whole
# (t/output-filter.t says how the places are made).
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(random_bytes);
use Test::More;

my $large = random_bytes(2 * 1024 * 1024 + 5, 'page');
my $html = "Content-Type: text/html\r\n";

my %filter = (
    dies => sub { $_[0]->body; $_[0]->data; $_[0]->die_now },
    leaves => sub { $_[0]->die_now },
    role => sub { $_[0]->end(0, 3) },
    busy => sub { $_[0]->end(0, 2) },
    garbage => sub { $_[0]->body; $_[0]->data; $_[0]->answer("a b c\r\n\r\nx") },
    headless => sub { $_[0]->body; $_[0]->data; $_[0]->end },
    halfhead => sub { $_[0]->body; $_[0]->data; $_[0]->out($html);
        $_[0]->die_now },
    slow => sub { $_[0]->body; $_[0]->data; $_[0]->wait_gate('slow', 5);
        $_[0]->die_now },
    cut => sub { $_[0]->body; $_[0]->data; $_[0]->out("$html\r\nhalf");
        $_[0]->die_now },
    short => sub { $_[0]->body; $_[0]->data;
        $_[0]->answer("${html}Content-Length: 100\r\n\r\nhalf") },
);

sub word { my ($r, $of) = @_;
    return ($r->env('QUERY_STRING') // '') =~ /\b$of=(\w+)/ ? $1 : '' }

sub filter {
    my ($r) = @_;
    my $code = $filter{ word($r, 'f') };
    return $code->($r) if $code;
    $r->body;
    my $data = $r->data;
    return $r->{gone} ? undef : $r->answer("$html\r\n" . uc $data);
}

sub original {
    my ($r) = @_;
    $r->body;
    my $do = word($r, 'o');
    if ($do eq 'cut') {
        $r->out("$html\r\nhalf of it");
        select undef, undef, undef, 0.1;
        return $r->die_now;
    }
    return $r->answer("${html}Content-Length: 20\r\n\r\nhalf")
        if $do eq 'short';
    return $r->answer("$html\r\n$large") if $do eq 'large';
    return $r->answer("$html\r\nsmall");
}

# What the client gets in place of a response; undef: a response that breaks.
my @failures = ([dies => 502], [leaves => 502], [role => 500], [busy => 503],
    [garbage => 502], [headless => 502], [halfhead => 502], [slow => 504],
    [cut => undef], [short => undef]);

FCNG::Hosts->each(needs => 'output_filter', sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => \&filter);
    my $origin = FCNG::App->new(request => \&original);
    $host->file("$_/a.html", 'hello filter') for qw(fail pass);
    $host->file("$_/large.html", $large) for qw(fail pass small);
    $host->file("$_/large.html", $large) for qw(smallpass);
    $host->main(nginx => 'types { text/html html; }',
        apache => "AddType text/html .html");
    my %options = (read_timeout => '1s');
    my %pass = (%options, output_filter_on_error => 'pass');
    my %small = (output_filter_max_size => 100_000);
    $host->output_filter('/fail/', app => $app, options => \%options);
    $host->output_filter('/pass/', app => $app, options => \%pass);
    $host->output_filter('/o/', app => $app, original => $origin,
        options => \%options);
    $host->output_filter('/opass/', app => $app, original => $origin,
        options => \%pass);
    $host->output_filter('/small/', app => $app, options => \%small);
    $host->output_filter('/smallpass/', app => $app,
        options => { %small, %pass });
    $host->output_filter('/osmall/', app => $app, original => $origin,
        options => \%small);
    $host->output_filter('/osmallpass/', app => $app, original => $origin,
        options => { %small, %pass });
    my $none = FCNG::App->new(request => \&filter);
    $none->stop;
    my $gone = $none->address;
    $host->output_filter('/gone/', address => $gone, options => \%options);
    $host->output_filter('/gonepass/', address => $gone, options => \%pass);
    $host->file("$_/a.html", 'hello filter') for qw(gone gonepass);
    $host->expect(qr/FCNG\d+|prematurely|timed out|crit/);
    $host->start;

    for (@failures) {
        my ($word, $status) = @$_;
        my $client = $host->client;
        my $r = $client->request_on('GET', "/fail/a.html?f=$word");
        if (defined $status) {
            is($r->{status}, $status, "fail: $word");
            unlike($r->{body}, qr/hello/i, 'nothing of the original');
            is($r->header('Last-Modified'), undef, 'nor of its head');
            is($r->header('Retry-After'), $status == 503 ? 1 : undef,
                'Retry-After');
            is($client->request_on('GET', '/fail/a.html')->{body},
                'HELLO FILTER', 'and the connection is well')
                if $status != 500 # behind which nginx closes
                    && $status != 503; # and Apache
        }
        else {
            # That it is short may be known before it begins.
            ok(!$r->{complete} || $word eq 'short' && $r->{status} == 502,
                "fail: $word does not look complete");
        }
        $client = $host->client;
        $r = $client->request_on('GET', "/pass/a.html?f=$word");
        if (defined $status) {
            is("$r->{status} $r->{body}", '200 hello filter',
                "pass: $word: the original");
            ok(defined $r->header($_), "with its $_")
                for qw(ETag Last-Modified Content-Length);
            is($client->request_on('GET', '/pass/a.html')->{body},
                'HELLO FILTER', 'and the connection is well');
        }
        else {
            ok(!$r->{complete} || $word eq 'short'
                && $r->{body} eq 'hello filter',
                "pass: $word does not look complete");
        }
        $r = $host->get("/pass/large.html?f=$word", seconds => 20);
        is(sha256_hex($r->{body}), sha256_hex($large), "pass: $word: 2 MiB")
            if defined $status;
        $r = $host->get("/opass/x?o=large&f=$word", seconds => 20);
        is(sha256_hex($r->{body}), sha256_hex($large),
            "pass: $word: of unknown length") if defined $status;
    }
    like($host->log, qr/FCNG007.*OutputFilter|FCNG007.*output_filter/i,
        'UNKNOWN_ROLE names the directive');
    my $r = $host->get('/gone/a.html');
    is($r->{status}, $host->is_nginx ? 502 : 503, 'no application');
    $r = $host->get('/gonepass/a.html');
    is("$r->{status} $r->{body}", '200 hello filter', 'pass: no application');

    # ---- the original
    for my $place ('/o/', '/opass/') {
        for my $do (qw(cut short)) {
            my $client = $host->client;
            $r = $client->request_on('GET', "${place}x?o=$do");
            is($r->{status}, 502, "$place: the original is $do");
            unlike($r->{body}, qr/half/i, 'nothing of it');
        }
    }

    # ---- its size
    for ('/small/large.html', '/osmall/x?o=large') {
        $r = $host->get($_);
        is($r->{status}, 502, "$_: too large");
        $r = $host->get('/osmall/x');
        is($r->{body}, 'SMALL', 'the next one is not');
    }
    for ('/smallpass/large.html', '/osmallpass/x?o=large') {
        $r = $host->get($_);
        is("$r->{status} " . sha256_hex($r->{body}),
            '200 ' . sha256_hex($large), "$_: too large, it passes");
    }
    like($host->log, qr/output_?filter_?max_?size/i, 'the log says why');
    $r = $host->request('HEAD', '/smallpass/large.html');
    is($r->header('Content-Length'), length $large, 'HEAD is what GET is')
        if $host->is_nginx;
    is($host->get('/fail/a.html')->{body}, 'HELLO FILTER', 'and all is well');
});
