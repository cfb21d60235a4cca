# SPDX-License-Identifier: BSD-2-Clause
#
# Some four hundred answers of an authorizer that are no grant: cut at each
# byte, records and heads that are wrong in each way, noise.  None of them lets
# a request pass, and none harms another one.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Wire qw(record stream end_request);
use Test::More;

our $id;               # of the request that is answered
my $head = "Status: 200\r\nVariable-TEAM: blue\r\nX-A: b\r\n\r\n";

sub out { record(FCNG::Wire::T_STDOUT, $id, $_[0]) }
sub whole { out($_[0]) . out('') . end_request($id) }

my @cases;             # [name, code that makes the bytes]
# $_ of the place where it is told.
sub case { push @cases, [@_, $_] }

# ---- cut at each byte, in one record and in a record for each line
for my $at (0 .. length(do { $id = 1; whole("${head}body") }) - 1) {
    case("cut at $at", sub { substr whole("${head}body"), 0, $at });
}
for my $at (map { 7 * $_ } 0 .. 14) {
    case("lines cut at $at", sub { substr join('', map { out("$_\n") }
        split /\n/, $head) . out('') . end_request($id), 0, $at });
}

# ---- a byte of a record's header that is wrong
for my $change ([0, 0], [0, 2], [0, 255], map({ [1, $_] } 1, 2, 4, 5, 8, 9,
    12, 255), [2, 1], [3, 0], [3, 200], [4, 1], [5, 0], [5, 1]) {
    my ($at, $value) = @$change;
    case("STDOUT's byte $at is $value", sub {
        my $bytes = whole($head);
        return whole('') if ord(substr $bytes, $at, 1) == $value;
        substr($bytes, $at, 1) = chr $value;
        return $bytes;
    });
    case("END_REQUEST's byte $at is $value", sub {
        my $bytes = end_request($id);
        return out($head) if ord(substr $bytes, $at, 1) == $value;
        substr($bytes, $at, 1) = chr $value;
        return out($head) . out('') . $bytes;
    });
}
case("STDOUT longer than told by $_", sub {
    my $bytes = record(FCNG::Wire::T_STDOUT, $id, $head,
        length => length($head) - $_);
    return $bytes . out('') . end_request($id) }) for 1 .. 8;
case("STDOUT shorter than told by $_", sub {
    my $bytes = record(FCNG::Wire::T_STDOUT, $id, $head,
        length => length($head) + $_);
    return $bytes . out('') . end_request($id) }) for 1 .. 7, 9 .. 31;

# ---- how it ends
case("protocolStatus $_", sub {
    out($head) . out('') . end_request($id, 0, $_) }) for 1 .. 8, 128, 255;
case("END_REQUEST of $_ bytes", sub { out($head) . out('')
    . record(FCNG::Wire::T_END_REQUEST, $id, "\0" x $_) }) for 0 .. 7;
case('the end comes first', sub { end_request($id) . out($head) });
case('the end of STDOUT, nothing more', sub { out($head) . out('') });
case('the end of another', sub { out($head) . end_request($id + 7) });
case('all of another', sub { my $own = $id; local $id = $own + 7;
    whole($head) });
case('refused, then granted', sub {
    end_request($id, 0, 2) . whole($head) });
case("type $_ in it", sub {
    out($head) . record($_, $id, "\0" x 8) . out('') . end_request($id) })
    for 1, 2, 4, 5, 8, 9;
case('STDERR alone', sub { record(FCNG::Wire::T_STDERR, $id, $head)
    . record(FCNG::Wire::T_STDERR, $id, '') . end_request($id) });
case('the head in GET_VALUES_RESULT', sub {
    record(FCNG::Wire::T_GET_VALUES_RESULT, 0, $head) . end_request($id) });
case('UNKNOWN_TYPE', sub { FCNG::Wire::unknown_type(2) });

# ---- heads
my @heads = ('', "\r\n", "\n", "\r\n\r\nStatus: 200\r\n\r\n",
    "\nStatus: 403\n\n", 'Status: 200', "Status: 200\r\n",
    "Status: 200\r\nX-A: b\r\n", "Status: 200\r\n\r", "200\r\n\r\n",
    "200 OK\r\n\r\n", "Status 200\r\n\r\n", "Status: \r\n\r\n",
    "Status: 2\r\n\r\n", "Status: 20\r\n\r\n", "Status: 2000\r\n\r\n",
    "Status: 20x\r\n\r\n", "Status: 200x\r\n\r\n", "Status: x200\r\n\r\n",
    "Status: +200\r\n\r\n", "Status: -200\r\n\r\n", "Status: 0200\r\n\r\n",
    "Status: 200,403\r\n\r\n", "Status: 200\0\r\n\r\n",
    "Status: 200\x01OK\r\n\r\n", "Status:\r\n 200\r\n\r\n",
    "Status: 200\r\nStatus: 403\r\n\r\n", "Status: 403\r\nStatus: 200\r\n\r\n",
    "Status: 200\r\n folded\r\n\r\n", " Status: 200\r\n\r\n",
    "Status : 200\r\n\r\n", "Status: 200\r\nX A: b\r\n\r\n",
    "Status: 200\r\nX-A\r\n\r\n", "Status: 200\r\n: b\r\n\r\n",
    "Status: 200\r\nX-A: \0\r\n\r\n", "Status: 200\r\nX-A: a\rb\r\n\r\n",
    "Status: 200\r\nX\0A: b\r\n\r\n", "Status: 200\r\nX-\xe4: b\r\n\r\n",
    "Status: 200\r\nX-A: \x7f\r\n\r\n", "Status: 200\r\nX-A: \x1b[2J\r\n\r\n",
    "Status: 200\r\nContent-Length: x\r\n\r\n",
    "Status: 200\r\nContent-Length: -1\r\n\r\n",
    "Status: 200\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "Status: 200\r\nVariable-A: 1\r\nVariable-A: 2\r\n\r\n",
    "Status: 200\r\nVariable-A-B: 1\r\nVariable-a_b: 2\r\n\r\n",
    "Variable-A: 1\r\nVariable-A: 1\r\n\r\n",
    "Status: 200\r\nVariable-A: \0\r\n\r\n",
    "Status: 200\r\nVariable-: 1\r\nVariable A: 1\r\n\r\n",
    "Status: 200\r\nVariable-A: 1\r\n 2\r\n\r\n",
    "Location: /x\r\n\r\n", "Location: http://a/\r\n\r\n",
    "Location: \r\n\r\n", "Location: /a\r\nLocation: /b\r\n\r\n",
    "HTTP/1.1 403 No\r\n\r\n", "HTTP/1.1 2 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nStatus: 403\r\n\r\n", "HTTP/1.1 xyz\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n", "<html>200</html>", "\0" x 200, "\xff" x 200,
    "Status: 200\r\nX-A: " . 'a' x 70_000 . "\r\n\r\n",
    "Status: 200\r\n" . "X-A: b\r\n" x 9000 . "\r\n",
    'A' x 70_000 . ": b\r\nStatus: 200\r\n\r\n");
for my $n (0 .. $#heads) {
    (my $name = substr $heads[$n], 0, 40)
        =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
    case("head $n: $name", sub {
        stream(FCNG::Wire::T_STDOUT, $id, $heads[$n]) . out('')
            . end_request($id) });
}
case("status $_", sub { whole("Status: $_\r\n\r\nno") })
    for qw(000 099 100 101 102 103 199 201 202 203 204 205 206 207 226 299
    300 301 302 303 304 307 308 400 401 403 404 407 418 429 499 500 503 599
    600 700 999);
case("status $_ with variables", sub {
    whole("Status: $_\r\nVariable-TEAM: red\r\n\r\n") }) for 201, 401, 403;
case("status 403 and Content-Length $_->[0] for $_->[1]", sub {
    whole("Status: 403\r\nContent-Length: $_->[0]\r\n\r\n"
        . 'x' x $_->[1]) }) for [10, 9], [10, 0], [5000, 4999];

# ---- no FastCGI
my %noise = (HTTP => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    TLS => "\x15\x03\x01\x00\x02\x02\x0a", SSH => "SSH-2.0-OpenSSH_9\r\n",
    text => "Status: 200\r\n\r\n", zeros => "\0" x 64, ones => "\1" x 64,
    sixes => "\6" x 64, full => "\xff" x 64);
for my $name (sort keys %noise) {
    case("noise: $name", sub { $noise{$name} });
}
my $seed = 12_345;
sub noise {
    return join '', map { $seed = ($seed * 1_103_515_245 + 12_345) % 2**31;
        chr($seed >> 16 & 255) } 1 .. $_[0];
}
for my $n (1 .. 20) {
    my $bytes = noise(5 * $n);
    case("noise $n", sub { $bytes });
    case("noise $n in STDOUT", sub { whole($bytes) });
    case("noise $n before it", sub { $bytes . whole($head) });
}

FCNG::Hosts->each(needs => 'protect', sub {
    my ($host) = @_;
    my $auth = FCNG::App->new(quiet => 1, request => sub {
        my ($r) = @_;
        my $n = $r->env('HTTP_CASE');
        return $r->answer("Status: 200\r\nVariable-TEAM: good\r\n\r\n")
            if !defined $n;
        $id = $r->{id};
        local $_ = $cases[$n][2];
        $r->send($cases[$n][1]->());
        return $r->die_now;
    });
    my $app = FCNG::App->new(quiet => 1, request => sub {
        my ($r) = @_;
        $r->text('SECRET ' . ($r->env('TEAM') // '-'));
    });
    $host->file('file/x', 'SECRET');
    $host->protect('/file/', app => $auth);
    $host->location('/app/', app => $app, protect => $auth);
    $host->expect(qr/FCNG0|\[crit\]/);
    $host->start;
    cmp_ok(scalar @cases, '>', 350, 'there are ' . @cases . ' answers');

    my (@granted, @odd, @harmed);
    for my $n (0 .. $#cases) {
        for my $path ('/file/x', '/app/x') {
            my $r = $host->get($path, headers => [Case => $n], seconds => 5);
            push @granted, $cases[$n][0]
                if $r->{body} =~ /SECRET/ || $r->{status} == 200;
            push @odd, "$cases[$n][0]: $r->{status}"
                if $r->{status} < 201 || $r->{status} == 200
                || !$r->{complete};
        }
        next if $n % 20;
        my $r = $host->get('/app/x');
        push @harmed, "$cases[$n][0]: $r->{status} $r->{body}"
            if "$r->{status} $r->{body}" ne '200 SECRET good';
    }
    is(join("\n", @granted), '', 'none lets a request pass');
    is(join("\n", @odd), '', 'each is answered whole, by another status');
    is(join("\n", @harmed), '', 'others are not harmed');
    is($host->get('/file/x')->{body}, 'SECRET', 'nor those that come after');
});
