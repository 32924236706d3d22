"""A policy says its language and its test cases; versions can be shadows, which differ."""

import core.ids
import django.db.models.deletion
import governance.models.policy
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0002_secrets'),
    ]

    operations = [
        migrations.CreateModel(
            name='PolicyDifference',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('call_id', models.UUIDField()),
                ('run_id', models.UUIDField()),
                ('tool', models.CharField(max_length=200)),
                ('decided_by', models.CharField(help_text='The version of what decided.', max_length=200)),
                ('effect', models.CharField(help_text='What was decided.', max_length=10)),
                ('rule', models.CharField(max_length=200)),
                ('reason', models.TextField(blank=True)),
                ('shadow_effect', models.CharField(help_text='What the shadow says.', max_length=10)),
                ('shadow_rule', models.CharField(max_length=200)),
                ('shadow_reason', models.TextField(blank=True)),
                ('is_abnormal', models.BooleanField(default=False, help_text='The shadow gave no usable answer, and would have denied.')),
                ('at', models.DateTimeField()),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.AddField(
            model_name='policy',
            name='cases',
            field=models.TextField(blank=True, help_text='Calls and what is expected of them, as YAML; run before publishing.'),
        ),
        migrations.AddField(
            model_name='policy',
            name='language',
            field=models.CharField(choices=governance.models.policy.language_choices, default='matrix', max_length=10),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='cases',
            field=models.TextField(blank=True, help_text='The test cases it was published with.'),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='failing_cases',
            field=models.PositiveIntegerField(default=0, help_text='Cases that failed when it was published all the same.'),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='is_shadow',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='language',
            field=models.CharField(choices=governance.models.policy.language_choices, default='matrix', max_length=10),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='shadow_asked',
            field=models.PositiveBigIntegerField(default=0, help_text='Calls it was asked about as a shadow.'),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='shadow_differing',
            field=models.PositiveBigIntegerField(default=0, help_text='Of these, answered otherwise than what decided.'),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='shadow_skipped',
            field=models.PositiveBigIntegerField(default=0, help_text='Calls it was not asked about, because it was too slow.'),
        ),
        migrations.AlterField(
            model_name='policy',
            name='draft',
            field=models.TextField(help_text='A permission matrix as YAML, or a Rego module.'),
        ),
        migrations.AlterField(
            model_name='policyversion',
            name='source',
            field=models.TextField(help_text='A permission matrix as YAML, or a Rego module.'),
        ),
        migrations.AddConstraint(
            model_name='policyversion',
            constraint=models.UniqueConstraint(condition=models.Q(('is_shadow', True)), fields=('workspace',), name='policy_one_shadow'),
        ),
        migrations.AddField(
            model_name='policydifference',
            name='version',
            field=models.ForeignKey(help_text='The shadow.', on_delete=django.db.models.deletion.CASCADE, related_name='+', to='governance.policyversion'),
        ),
        migrations.AddField(
            model_name='policydifference',
            name='workspace',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='governance.workspace'),
        ),
        migrations.AddIndex(
            model_name='policydifference',
            index=models.Index(fields=['workspace', '-id'], name='policy_difference_list'),
        ),
        migrations.AddConstraint(
            model_name='policydifference',
            constraint=models.UniqueConstraint(fields=('version', 'call_id'), name='policy_difference_once'),
        ),
    ]
