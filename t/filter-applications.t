# SPDX-License-Identifier: BSD-2-Clause
#
# Real applications in the role Filter, over files and over any response: an
# upper-casing one and one that makes HTML of Markdown, both on libfcgi; and
# FCGI.pm, which cannot read FCGI_DATA and answers all the same.
use strict;
use warnings;
use FCNG::Hosts;
use FCNG::Programs;
use FCNG::Util qw(slurp spew top random_bytes);
use Test::More;

my @programs = qw(upper markdown fcgi_pm);
for my $program (@programs) {
    my $missing = FCNG::Programs->missing($program);
    plan skip_all => $missing if $missing;
}

my $large = random_bytes(1_500_000, 'large') =~ tr/\0-\x1f/ /r;

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my ($upper, $markdown, $perl)
        = map { FCNG::Programs->$_ } @programs;
    $host->file('files/a.txt', "Some text\n");
    $host->file('files/large.txt', $large);
    $host->file('perl/a.txt', "Some text\n" x 100_000);
    my $readme = slurp(top() . '/README.md');
    my $small = "# One & two\n\nA *word* in `code`, and <b>.\n\n"
        . "| a | b |\n|---|---|\n| [link](x.md) | two |\n| three | `f` |\n";
    for my $dir ('md', 'out') {
        utime 1_700_000_000, 1_700_000_000,
            $host->file("$dir/README.md", $readme),
            $host->file("$dir/small.md", $small);
        $host->file("$dir/empty.md", '');
    }
    $host->file_filter('/files/', app => $upper);
    $host->file_filter('/md/', app => $markdown);
    $host->file_filter('/perl/', app => $perl);
    my @places = ('md');
    if ($host->can('output_filter')) {
        push @places, 'out';
        $host->output_filter('/out/', app => $markdown,
            nginx => 'default_type text/markdown;',
            apache => "AddType text/markdown .md\n",
            options => { output_filter_types => 'text/markdown' });
    }
    $host->expect(qr/FCNG\d+:/);
    $host->start;

    is($host->get('/files/a.txt')->{body}, "SOME TEXT\n", 'upper case');
    for my $n (1 .. 3) {
        ok($host->get('/files/large.txt')->{body} eq uc $large,
            "1.5 MB, $n");
    }
    my $r = $host->get('/perl/a.txt');
    is($r->{status}, 200, 'FCGI.pm, which reads no data') or diag $host->log;

    for my $dir (@places) {
        $r = $host->get("/$dir/README.md");
        is($r->{status}, 200, "$dir: README.md") or diag $host->log;
        is($r->header('Content-Type'), 'text/html; charset=utf-8', 'HTML');
        like($r->{body}, qr{<title>fastcgi-ng</title>.*<h1>fastcgi-ng</h1>}s,
            'with its title');
        my $rows = () = $readme =~ /^\| (?!-)/mg;
        my $cells = () = $r->{body} =~ /<tr><td>/g;
        is($cells, $rows, 'and its tables');
        is(length $r->{body}, $r->header('Content-Length') // -1,
            'of the length that it says');
        my $date = $r->header('Last-Modified');
        is($date, 'Tue, 14 Nov 2023 22:13:20 GMT', 'dated as the file');
        $r = $host->get("/$dir/README.md",
            headers => ['If-Modified-Since' => $date]);
        is("$r->{status}:$r->{body}", '304:', 'which is not sent twice');
        my $page = $host->get("/$dir/small.md")->{body};
        like($page, qr{<p>A <em>word</em> in <code>code</code>, and },
            'Markdown');
        unlike($page, qr/<b>/, 'no HTML of its own');
        like($page, qr{<title>One &amp; two</title>}, 'a title');
        (my $table = $page) =~ s/\s*(<[^>]*>)\s*/$1/g;
        like($table, qr{<table><tr><td>a</td><td>b</td></tr>(?x:
            )<tr><td><a href="x.md">link</a></td><td>two</td></tr>(?x:
            )<tr><td>three</td><td><code>f</code></td></tr></table>},
            'a table') or diag $page;
        is($host->get("/$dir/empty.md")->{status}, 200, 'an empty file');
        is($host->get("/$dir/none.md")->{status}, 404, 'none');
    }
});
