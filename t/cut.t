# SPDX-License-Identifier: BSD-2-Clause
#
# A response that was cut never looks complete: not to an HTTP/1.1 client,
# not to an HTTP/2 client, and neither waits for ever.  What there was of it
# is not lost.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::HTTP qw(curl nghttp);
use FCNG::Util qw(find_tool);
use Test::More;
use Time::HiRes qw(time);

FCNG::Hosts->each(http2 => 1, sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my ($how, $size) = $r->action =~ /^(\w+?)-(\d+)$/;
        my $length = $how eq 'length' ? "Content-Length: 500000\r\n" : '';
        $r->out("Content-Type: text/plain\r\n$length\r\n" . 'x' x $size);
        $r->wait_gate('cut') if $how eq 'late';
        return $r->end if $how eq 'whole';
        $r->die_now;
    });
    $host->location('/app/', app => $app);
    $host->location('/direct/', app => $app,
        options => { buffering => 'off' });
    $host->start;

    my $http2 = 'http://127.0.0.1:' . $host->http2_port;
    for my $path ('/app/', '/direct/') {
        for my $what (qw(close-10 close-300000 length-10 length-300000)) {
            my $where = "$path$what";
            my $r = $host->get($where, seconds => 5);
            ok(!$r->{complete}, "$where: HTTP/1.1 sees it");
            is($r->{error}, 'closed', "$where: by a closed connection");
            is($r->{size}, $what =~ /-(\d+)/ ? $1 : 0,
                "$where: after all that the application sent");
            $r = curl('--http1.1', '-o', '/dev/null', '--max-time', 5,
                $host->url($where));
            like($r->{exit}, qr/^(?:18|56|52)$/, "$where: curl fails");

            my $start = time;
            $r = curl('--http2-prior-knowledge', '-o', '/dev/null',
                '--max-time', 5, "$http2$where");
            like($r->{exit}, qr/^(?:92|18|56|16)$/,
                "P5: $where: curl fails by HTTP/2") or diag $r->{err};
            cmp_ok(time - $start, '<', 3, "P5: $where: at once");
        }
    }
    my $r = curl('--http2-prior-knowledge', '-o', '/dev/null',
        '-w', '%{size_download}', "$http2/app/whole-300000");
    is("$r->{exit} $r->{out}", '0 300000', 'a whole one is whole');

    SKIP: {
        skip 'nghttp missing', 3 if !find_tool('nghttp');
        $r = nghttp('-n', "$http2/app/length-300000");
        like($r->{out}, qr/recv RST_STREAM/, 'nghttp sees a reset stream');
        unlike($r->{out}, qr/recv DATA [^\n]*\n\s*; END_STREAM/,
            'and no end of the stream');
        $r = nghttp('-n', "$http2/app/whole-300000");
        like($r->{out}, qr/END_STREAM/, 'which a whole response has');
    }
});
